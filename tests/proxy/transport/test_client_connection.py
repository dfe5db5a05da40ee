"""Client connections: their deadlines, their order, their end, and what a slow or absent client costs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.answers import read_answer
from tests.support.peers import OK, full_backlog, healthy, says
from tests.support.processes import until
from tests.support.rawclient import RawClient
from tests.support.wire import RawUpstream, raw_upstream, running_hop

GET = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"


# -- deadlines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: shop.example\r\nA: "],
    ids=["a byte", "request line", "headers"],
)
async def test_a_head_that_is_never_complete_gets_a_408(sent: bytes) -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, timeouts={"client_head": "50ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(sent)
        answer = read_answer(await client.all())
        assert client.end == "fin"
        assert (answer.status, answer.error) == (408, "http_request_error")
        assert answer.line == b"HTTP/1.1 408 Request Timeout"
        assert (answer.one("Connection"), answer.one("Via")) == (b"close", b"1.1 lb")
        assert answer.one("Content-Length") == b"%d" % len(answer.body)
        record = await hop.record()
        assert (record["status"], record["error"], record["generated"]) == (408, "http_request_error", True)
        assert record["client"] == client.local
        assert record["attempts"] == []
        assert upstream.connections == 0


async def test_a_drip_of_head_bytes_does_not_renew_the_deadline() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, timeouts={"client_head": "100ms"}) as hop,
        hop.client() as client,
    ):
        dripping = asyncio.create_task(drip(client.send, b"GET / HTTP/1.1\r\nX: " + b"y" * 1000, every=0.01))
        answer = read_answer(await client.all())
        assert answer.status == 408
        dripping.cancel()


async def drip(send: Callable[[bytes], Awaitable[None]], data: bytes, every: float) -> None:
    with contextlib.suppress(ConnectionError):
        for byte in data:
            await send(bytes([byte]))
            await asyncio.sleep(every)


async def test_the_deadline_holds_for_a_second_request_too() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, timeouts={"client_head": "50ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(GET)
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"
        await client.send(GET[:20])
        assert read_answer(await client.all()).status == 408


async def test_half_a_second_request_behind_the_first_is_waited_for_only_so_long() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, timeouts={"client_head": "50ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(GET + GET[:20])
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"
        assert read_answer(await client.all()).status == 408


async def test_a_head_in_time_is_served_however_long_the_answer_takes() -> None:
    go = asyncio.Event()
    async with (
        raw_upstream(says(go, OK, then="again")) as upstream,
        running_hop(upstream.address, timeouts={"client_head": "40ms", "client_idle": "40ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(GET[:10])
        await client.send(GET[10:])
        await until(lambda: upstream.heads)
        assert await client.silent(0.1)
        go.set()
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"


@pytest.mark.parametrize("after_a_request", [False, True])
async def test_a_silent_connection_is_closed_without_a_word(after_a_request: bool) -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, timeouts={"client_idle": "60ms"}) as hop,
        hop.client() as client,
    ):
        if after_a_request:
            await client.send(GET)
            await client.until(b"\r\n\r\n")
            assert await client.answer() == b"ok"
        assert await client.all() == b""
        assert client.end == "fin"
        assert len(hop.hop.recorder.query()) == after_a_request


async def test_a_head_that_began_in_time_is_not_cut_off_for_idleness() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, timeouts={"client_idle": "60ms", "client_head": "5s"}) as hop,
        hop.client() as client,
    ):
        await client.send(GET[:20])
        assert await client.silent(0.15)
        await client.send(GET[20:])
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"


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
        await until(lambda: upstream.heads[-1] == b"gone", deadline=2, what="the endpoint sees the end")
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
        await until(lambda: upstream.heads[-1] == b"gone", deadline=2, what="the endpoint sees the end")
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


# -- slow readers --------------------------------------------------------------------------------------


async def pours(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends without end, as fast as it is read; `heads` counts the blocks."""
    await upstream.read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()
        upstream.heads.append(b"block")


async def test_a_client_that_reads_nothing_stops_the_endpoint_and_is_cut_off() -> None:
    async with (
        raw_upstream(pours) as upstream,
        running_hop(upstream.address, timeouts={"send": "200ms", "between_bytes": "60ms"}) as hop,
        hop.client() as client,
    ):
        client._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await client.send(GET)
        record = await hop.record()
        # Sockets hold some MiB; the hop itself less than one; nothing near the whole GiB was taken in.
        assert len(upstream.heads) * 65536 < 64 << 20
        assert (record["client_gone"], record["error"]) == (True, None)
        assert 0.19 <= record["duration"] < 2
        await client.all()
        assert client.end == "reset"


async def test_a_slow_client_is_not_the_endpoints_fault() -> None:
    """It takes longer to read than the endpoint may be silent; the endpoint is not silent, but held back."""
    size = 16 << 20

    async def serve(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            writer.write(bytes(1 << 16))
            await writer.drain()

    async with (
        raw_upstream(serve) as upstream,
        running_hop(upstream.address, timeouts={"between_bytes": "150ms", "first_byte": "150ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(CLOSE)
        await client.until(b"\r\n\r\n")
        await asyncio.sleep(0.4)  # the client's own slowness
        answer = read_answer(await client.all())
        assert len(answer.data) == size
        record = await hop.record()
        assert (record["truncated"], record["error"], record["response_bytes"]) == (False, None, size)


@contextlib.asynccontextmanager
async def narrow_client(address: str) -> AsyncIterator[RawClient]:
    """A client whose socket takes in a few KiB and no more until they are read."""
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = address.rpartition(":")
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        yield RawClient(sock, 10)


@pytest.mark.parametrize("request_head", [GET, CLOSE], ids=["kept", "closed"])
async def test_a_client_that_never_takes_the_end_of_its_answer_is_cut_off(request_head: bytes) -> None:
    """All of it is written, so nobody waits; but closing in order would wait for the client, for ever."""
    body = bytes(60_000)  # less than stops the writer, more than small socket buffers hold
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    patience = {"send": "80ms", "client_idle": "60ms"}
    async with (
        raw_upstream(says(answer)) as upstream,
        running_hop(upstream.address, timeouts=patience) as hop,
        narrow_client(hop.address) as client,
    ):
        await until(lambda: hop.server.connections)
        (connection,) = hop.server.connections
        assert connection.transport is not None
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await client.send(request_head)
        assert (await hop.record())["response_bytes"] == len(body)
        await until(lambda: not hop.server.serving, deadline=3, what="the connection is gone")
        assert len(await client.all()) < len(answer)
        assert client.end == "reset"
