"""A client's requests one after the other: their order, and how a connection ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support.answers import read_answer
from tests.support.peers import OK, full_backlog, healthy, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop

GET = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"


# -- order ---------------------------------------------------------------------------------------------


async def answers_with_the_path(
    upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        path = (await upstream.read_head(reader)).split()[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    count = 100
    async with (
        raw_upstream(answers_with_the_path) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(count)))
        for n in range(count):
            assert await client.answer() == b"/%d" % n
        assert [record["target"] for record in await hop.records(count)] == [f"/{n}" for n in range(count)]
        assert upstream.connections == 1


async def test_pipelined_bodies_are_not_taken_for_requests() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(smuggled), smuggled)
        await client.send(post * 5)
        for _ in range(5):
            assert await client.answer() == b"ok"
        assert {record["method"] for record in await hop.records(5)} == {"POST"}


async def test_garbage_behind_a_request_is_answered_behind_its_answer() -> None:
    go = asyncio.Event()
    async with (
        raw_upstream(says(go, OK)) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        await client.send(GET)
        await until(lambda: upstream.heads)
        await client.send(b"\xff\xfe garbage\r\n\r\n")
        assert await client.silent(0.02)
        go.set()
        assert await client.answer() == b"ok"
        answer = read_answer(await client.all())
        assert (answer.status, answer.one("Connection")) == (400, b"close")
        assert [record["status"] for record in await hop.records(2)] == [200, 400]


# -- the end -------------------------------------------------------------------------------------------


async def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    """Closing with unread bytes makes a RST that can overtake the answer (RFC 9112 section 9.6)."""
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 20_000)
        await client.until(b"\r\n\r\n")
        for _ in range(20):
            await client.send(b"x" * 10_000)  # raises on a RST
        client.half_close()
        answer = read_answer(await client.all())
        assert (answer.status, client.end) == (431, "fin")


async def hangs(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads until the hop hangs up, and says so in `heads`."""
    await upstream.read_head(reader)
    try:
        while await reader.read(65536):
            pass
    finally:
        upstream.heads.append(b"gone")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_cancels_the_attempt(how: str) -> None:
    async with raw_upstream(hangs) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            await client.send(GET)
            await until(lambda: upstream.heads)
            if how == "reset":
                client._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await until(lambda: upstream.heads[-1] == b"gone", what="the endpoint sees the end")
        record = await hop.record()
        assert (record["client_gone"], record["status"], record["error"]) == (True, None, None)
        (attempt,) = record["attempts"]
        assert (attempt["phase"], attempt["error"], attempt["status"]) == ("wait", None, None)
        assert hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 0
        assert hop.hop.in_flight == 0


async def test_a_client_that_leaves_in_the_middle_of_its_own_body() -> None:
    async with raw_upstream(hangs) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
            await until(lambda: upstream.heads)
        await until(lambda: upstream.heads[-1] == b"gone", what="the endpoint sees the end")
        record = await hop.record()
        assert (record["client_gone"], record["status"], record["request_bytes"]) == (True, None, 4)


async def test_a_client_that_leaves_while_a_connection_is_being_made() -> None:
    async with full_backlog() as address, running_hop(address, timeouts={"connect": "5s"}) as hop:
        async with hop.client() as client:
            await client.send(GET)
            await until(lambda: hop.hop.in_flight)
        record = await hop.record()
        assert (record["client_gone"], record["attempts"][0]["phase"]) == (True, "connect")
        assert record["duration"] < 2


async def test_a_client_that_has_left_before_it_is_answered_is_no_failure_of_the_hop() -> None:
    """It shut its side down: to a gateway that is what leaving looks like (nginx and Envoy see it so, too)."""
    async with raw_upstream(hangs) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(GET)
        await until(lambda: upstream.heads)
        client.half_close()
        assert await client.all() == b""
        assert (await hop.record())["client_gone"]


async def test_one_connection_too_many_is_refused_with_a_503() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, limits={"connections": 2}) as hop,
        hop.client() as first,
        hop.client() as second,
    ):
        for client in (first, second):
            await client.send(GET)
            assert await client.answer() == b"ok"
        async with hop.client() as third:
            await third.send(GET)
            answer = read_answer(await third.all())
            assert (answer.status, answer.error) == (503, "proxy_internal_response")
            assert third.end == "fin"
            assert answer.one("Retry-After")
        await first.send(GET)
        assert await first.answer() == b"ok"
        first.close()
        await until(lambda: len(hop.server.connections) < 2)
        assert (await hop.get()).startswith(b"HTTP/1.1 200 ")
