"""The raw server as a healthy one: keep-alive, pipelining, bodies, ends."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.instance import here

BODY = b'{"id":1,"name":"Tin of tea","price_cents":790,"stock":120}\n'


async def test_keep_alive_and_pipelining() -> None:
    async with here() as app, app.client() as client:
        request = b"GET /products/1 HTTP/1.1\r\nHost: a\r\n\r\n"
        await client.send(request * 100)
        for _ in range(100):
            assert await client.answer() == BODY
        assert app.instance.state()["accepted"] == 1
        assert app.instance.state()["requests"] == 100


async def test_pipelined_requests_are_answered_in_order_after_a_slow_one() -> None:
    async with here() as app, app.client() as client:
        app.fault("latency", latency="30ms", when={"first": 1})
        await client.send(b"".join(b"GET /products/%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in (3, 1, 2)))
        assert [json.loads(await client.answer())["id"] for _ in range(3)] == [3, 1, 2]


@pytest.mark.parametrize(
    ("request_", "ends", "connection"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", True, b"Connection: close"),
        (b"GET / HTTP/1.0\r\n\r\n", True, b"Connection: close"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False, b"Connection: keep-alive"),
    ],
)
async def test_when_the_connection_ends(request_: bytes, ends: bool, connection: bytes) -> None:
    async with here() as app, app.client() as client:
        await client.send(request_)
        assert connection in await client.until(b"</html>\n")
        if ends:
            await client.all()
            assert client.end == "fin"
        else:
            assert await client.silent()


async def test_a_client_that_half_closes_gets_its_answers() -> None:
    async with here() as app, app.client() as client:
        app.fault("latency", latency="20ms", when={"first": 1})
        await client.send(b"GET /products/1 HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        client.half_close()
        assert (await client.all()).count(BODY) == 2
        assert client.end == "fin"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/2.0\r\n\r\n", b"505 HTTP Version Not Supported"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", b"431 Request Header Fields Too Large"),
    ],
)
async def test_bad_requests_are_answered_and_closed(data: bytes, status: bytes) -> None:
    async with here() as app, app.client() as client:
        await client.send(b"GET /products/1 HTTP/1.1\r\nHost: a\r\n\r\n" + data)
        assert await client.answer() == BODY
        assert (await client.all()).startswith(b"HTTP/1.1 " + status + b"\r\n")
        assert client.end == "fin"


async def test_expect_100_continue() -> None:
    async with here() as app, app.client() as client:
        await client.send(b"POST /orders HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.packets.clear()
        await client.send(b'{"product_id":1}')
        assert json.loads(await client.answer()) == {"id": 1, "product_id": 1, "quantity": 1}


async def test_an_unread_body_is_drained_and_the_next_request_served() -> None:
    async with here() as app, app.client() as client:
        body = b"x" * 300_000
        await client.send(b"GET /products/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + body)
        assert await client.answer() == BODY
        await client.get()
        assert await client.answer() == BODY


async def test_a_body_that_nobody_reads_makes_the_client_wait() -> None:
    async with here() as app, app.client() as client:
        fault = app.fault("hang")
        sending = asyncio.create_task(
            client.send(b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000)
        )
        _, pending = await asyncio.wait([sending], timeout=0.3)
        assert pending
        sending.cancel()
        await asyncio.wait([sending])
        app.instance.book.remove(fault.id)


async def test_a_large_answer_is_not_held_in_memory() -> None:
    async with here() as app, app.client() as client:
        await client.get("/bytes/200000000")
        await client.until(b"\r\n\r\n")
        (connection,) = app.instance._connections
        assert connection._transport.get_write_buffer_size() <= 65536


async def test_a_record_of_each_request() -> None:
    async with here(records=2) as app, app.client() as client:
        for number in range(3):
            await client.get(f"/products/{number}", f"X-Request-ID: r{number}")
            await client.answer()
        first, second = app.instance.exchanges()
        assert (first.request_id, first.status, first.target) == ("r1", 200, "/products/1")
        assert (second.id, second.peer, second.method) == (3, client.local, "GET")
        assert second.duration is not None


async def test_idle_connections_are_closed() -> None:
    async with here(keep_alive="50ms") as app, app.client() as client:
        await client.get()
        await client.answer()
        assert await client.all() == b""


async def test_ipv6() -> None:
    async with here(listen={"host": "::1", "port": 0}) as app, app.client() as client:
        assert app.instance.listen.startswith("[::1]:")
        await client.get()
        assert await client.answer() == BODY
