"""Client connections: their deadlines, and what a slow client costs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.answers import read_answer
from tests.support.peers import OK, healthy, says
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
        running_hop(upstream.address, timeouts={"client_head": "500ms", "client_idle": "500ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(GET[:10])
        await client.send(GET[10:])
        await until(lambda: upstream.heads)
        assert await client.silent(0.7)
        go.set()
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"


@pytest.mark.parametrize("after_a_request", [False, True])
async def test_a_silent_connection_is_closed_without_a_word(after_a_request: bool) -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, timeouts={"client_idle": "500ms"}) as hop,
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
        running_hop(upstream.address, timeouts={"client_idle": "500ms", "client_head": "5s"}) as hop,
        hop.client() as client,
    ):
        await client.send(GET[:20])
        assert await client.silent(0.8)
        await client.send(GET[20:])
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"


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
        running_hop(upstream.address, timeouts={"send": "800ms", "between_bytes": "500ms"}) as hop,
        hop.client() as client,
    ):
        client._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await client.send(GET)
        record = await hop.record()
        # Sockets hold some MiB; the hop itself less than one; nothing near the whole GiB was taken in.
        assert len(upstream.heads) * 65536 < 64 << 20
        assert (record["client_gone"], record["error"]) == (True, None)
        assert 0.79 <= record["duration"] < 5
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
        running_hop(upstream.address, timeouts={"between_bytes": "600ms", "first_byte": "600ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(CLOSE)
        await client.until(b"\r\n\r\n")
        await asyncio.sleep(1.2)  # the client's own slowness
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
    patience = {"send": "80ms", "client_idle": "1s"}
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
        await until(lambda: not hop.server.serving, what="the connection is gone")
        assert len(await client.all()) < len(answer)
        assert client.end == "reset"
