"""Faults of the connection, over raw sockets."""

from __future__ import annotations

import pytest

from tests.support.instance import here
from tests.support.proofs import proves

BODY = b'{"id":1,"name":"Tin of tea","price_cents":790,"stock":120}\n'


@proves("close_on_accept")
async def test_close_on_accept() -> None:
    async with here() as app:
        app.fault("close_on_accept", when={"first": 1})
        async with app.client() as client:
            assert await client.all() == b""
            assert client.end == "fin"
            assert [(f["kind"], f["peer"], f["request_id"]) for f in app.firings] == [
                ("close_on_accept", client.local, None)
            ]
        async with app.client() as client:
            await client.get()
            assert await client.answer() == BODY


@proves("reset_on_accept")
async def test_reset_on_accept() -> None:
    async with here() as app:
        app.fault("reset_on_accept")
        async with app.client() as client:
            assert await client.all() == b""
            assert client.end == "reset"
        assert len(app.firings) == 1


@proves("empty_response")
async def test_empty_response_comes_after_the_whole_request() -> None:
    async with here() as app:
        app.fault("empty_response")
        async with app.client() as client:
            await client.send(b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12")
            assert await client.silent()
            await client.send(b"34")
            assert await client.all() == b""
            assert client.end == "fin"


@proves("reset_before_response")
@pytest.mark.parametrize("after", ["0s", "30ms"])
async def test_reset_before_response(after: str) -> None:
    async with here() as app:
        app.fault("reset_before_response", after=after)
        async with app.client() as client:
            await client.get()
            assert await client.all() == b""
            assert client.end == "reset"


@proves("reset_mid_response")
async def test_reset_mid_response() -> None:
    async with here() as app:
        app.fault("reset_mid_response", at=10)
        async with app.client() as client:
            await client.get()
            head, _, body = (await client.all()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"Content-Length: 59" in head
            assert body == BODY[:10]
            assert client.end == "reset"


@proves("hang")
async def test_hang_ends_with_the_fault() -> None:
    async with here() as app:
        fault = app.fault("hang")
        async with app.client() as client:
            await client.get(*("/products/1", "X-Request-ID: r1"))
            assert await client.silent()
            assert [f["request_id"] for f in app.firings] == ["r1"]
            app.instance.book.remove(fault.id)
            assert await client.all() == b""
            assert client.end == "fin"


async def test_hang_ends_when_the_clock_passes_its_end() -> None:
    async with here() as app:
        app.fault("hang", for_="10s")
        async with app.client() as client:
            await client.get()
            assert await client.silent()
            app.instance.advance(11)
            assert await client.all() == b""
        async with app.client() as client:
            await client.get()
            assert await client.answer() == BODY


async def test_hang_ends_when_the_client_leaves() -> None:
    async with here() as app:
        app.fault("hang")
        async with app.client() as client:
            await client.get(*("/", "X-Request-ID: gone"))
            assert await client.silent()
        assert (await app.exchange("gone")).status is None


@proves("keepalive_race")
@pytest.mark.parametrize(("end", "seen"), [("close", "fin"), ("reset", "reset")])
async def test_keepalive_race_strikes_the_second_request(end: str, seen: str) -> None:
    async with here() as app:
        app.fault("keepalive_race", end=end)
        async with app.client() as client:
            await client.get()
            assert await client.answer() == BODY
            assert await client.silent()
            assert not app.firings
            await client.get()
            assert await client.all() == b""
            assert client.end == seen
        assert len(app.firings) == 1


@proves("continue_then_hang")
async def test_continue_then_hang() -> None:
    async with here() as app:
        app.fault("continue_then_hang")
        async with app.client() as client:
            await client.get()
            assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert await client.silent()


@proves("reset_peer")
async def test_reset_peer() -> None:
    async with here() as app:
        app.fault("reset_peer", timeout="10ms")
        async with app.client() as client:
            await client.get()
            assert await client.all() == b""
            assert client.end == "reset"


@proves("timeout")
async def test_timeout_closes_after_its_time() -> None:
    async with here() as app:
        app.fault("timeout", timeout="30ms")
        async with app.client() as client:
            await client.get()
            assert await client.all() == b""
            assert client.end == "fin"


async def test_timeout_of_0s_lasts_as_long_as_the_fault() -> None:
    async with here() as app:
        app.fault("timeout")
        async with app.client() as client:
            await client.get()
            assert await client.silent()
            app.instance.book.clear()
            assert await client.all() == b""
