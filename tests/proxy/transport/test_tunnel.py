"""Upgrades: passed on where they were asked for, then bytes both ways, unread and at each side's pace."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support.answers import read_answer
from tests.support.peers import OK, field, reset, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop


def upgrade(protocol: str = "websocket", *lines: str, connection: str = "Upgrade", version: str = "1.1") -> bytes:
    head = [f"GET /chat HTTP/{version}", "Host: shop.example", f"Upgrade: {protocol}", f"Connection: {connection}"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


def switching(protocol: str = "websocket", *lines: str) -> bytes:
    head = ["HTTP/1.1 101 Switching Protocols", f"Upgrade: {protocol}", "Connection: Upgrade"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


PROTOCOLS = pytest.mark.parametrize("protocol", ["websocket", "shop/2"])


async def echoes(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agrees, greets in the same write, then sends back what it gets until the end."""
    head = await upstream.read_head(reader)
    protocol = (field(head, b"upgrade") or b"").decode()
    writer.write(switching(protocol, "Sec-WebSocket-Accept: x") + b"\x81\x05hello")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    upstream.heads.append(b"ended")


@PROTOCOLS
async def test_bytes_go_both_ways_unchanged(protocol: str) -> None:
    async with raw_upstream(echoes) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade(protocol, "Sec-WebSocket-Key: abc"))
        answer = read_answer(await client.until(b"\x81\x05hello"))
        assert (answer.status, answer.body) == (101, b"\x81\x05hello")
        assert (answer.one("Upgrade"), answer.one("Connection")) == (protocol.encode(), b"upgrade")
        assert (answer.one("Via"), answer.one("Sec-WebSocket-Accept")) == (b"1.1 lb", b"x")
        assert answer.members[-1].received_status == 101
        assert (answer.one("Content-Length"), answer.one("Transfer-Encoding")) == (None, None)
        (forwarded, *_) = upstream.heads
        assert field(forwarded, b"upgrade") == protocol.encode()
        assert field(forwarded, b"connection") == b"upgrade"
        assert field(forwarded, b"sec-websocket-key") == b"abc"
        client.packets.clear()
        for message in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), b"\r\n", b"x" * 100_000):
            await client.send(message)
            await client.until(message)
            assert client.data == message
            client.packets.clear()
        client.close()
        await until(lambda: upstream.heads[-1] == b"ended")
        record = await hop.record()
        assert (record["status"], record["error"], record["truncated"]) == (101, None, False)
        assert (record["client_gone"], record["generated"]) == (False, False)
        assert record["request_bytes"] == 18 + 256 + 2 + 100_000
        assert record["response_bytes"] == record["request_bytes"] + 7
        assert hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 1


@PROTOCOLS
async def test_what_the_endpoint_says_last_still_arrives(protocol: str) -> None:
    last = b"bye" * 50_000

    async def leaves(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(switching(protocol))
        await reader.readexactly(2)
        writer.write(last)

    async with raw_upstream(leaves) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade(protocol))
        await client.until(b"\r\n\r\n")
        client.packets.clear()
        await client.send(b"go")
        assert await client.all() == last
        assert client.end == "fin"
        assert (await hop.record())["response_bytes"] == len(last)


@PROTOCOLS
async def test_what_the_client_says_last_still_arrives(protocol: str) -> None:
    """Also what the endpoint was too slow to take in before the client left."""
    last = b"bye" * 20_000  # less than stops the client, more than small socket buffers hold
    narrow, go = (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096), asyncio.Event()

    async def listens(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(*narrow)
        await upstream.read_head(reader)
        writer.write(switching(protocol))
        await go.wait()
        received = b""
        while data := await reader.read(4096):
            received += data
            await asyncio.sleep(0)
        upstream.heads.append(received)

    async with raw_upstream(listens) as upstream, running_hop(upstream.address) as hop:
        async with hop.client() as client:
            await client.send(upgrade(protocol))
            await client.until(b"\r\n\r\n")
            (connection,) = hop.hop.pool._all
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            await client.send(last)
        go.set()
        await until(lambda: len(upstream.heads) > 1)
        assert upstream.heads[1] == last


@pytest.mark.parametrize(("protocol", "behind"), [("websocket", b"early"), ("websocket", b""), ("shop/2", b"")])
async def test_bytes_sent_before_the_answer_are_not_lost(protocol: str, behind: bytes) -> None:
    go = asyncio.Event()
    sent = behind + b"GET / bytes"

    async def slow(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        await go.wait()
        writer.write(switching(protocol))
        writer.write(await reader.readexactly(len(sent)))

    async with raw_upstream(slow) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade(protocol) + behind)
        await until(lambda: upstream.heads)
        await client.send(b"GET / bytes")
        await asyncio.sleep(0.01)  # they reach the hop before the answer does
        go.set()
        assert read_answer(await client.all()).body == sent


@PROTOCOLS
async def test_an_upgrade_may_come_to_nothing(protocol: str) -> None:
    """The endpoint answers as if it had not been asked: it may ignore Upgrade (RFC 9110 section 7.8)."""
    async with raw_upstream(says(OK)) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade(protocol))
        assert await client.answer() == b"ok"
        assert (await hop.record())["status"] == 200


@PROTOCOLS
async def test_an_endpoint_that_dies_before_it_agrees_is_a_502(protocol: str) -> None:
    async with raw_upstream(says()) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade(protocol))
        answer = read_answer(await client.all())
        assert (answer.status, answer.error) == (502, "connection_terminated")


async def test_an_endpoint_that_dies_in_the_tunnel_ends_it() -> None:
    async def dies(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(switching())
        await reader.readexactly(2)
        reset(writer)

    async with raw_upstream(dies) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade())
        await client.until(b"\r\n\r\n")
        await client.send(b"go")
        await client.all()
        assert client.end in ("fin", "reset")
        assert (await hop.record())["status"] == 101


@pytest.mark.parametrize("answer", [switching("other"), b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
async def test_a_switch_to_something_else_is_a_failed_upgrade(answer: bytes) -> None:
    async with raw_upstream(says(answer, then="hang")) as upstream, running_hop(upstream.address) as hop:
        refused = read_answer(await hop.send(upgrade("websocket")))
        assert (refused.status, refused.error) == (502, "http_upgrade_failed")


NOT_ASKED = [
    upgrade(connection="close"),
    upgrade(connection="noupgrade, close"),
    upgrade(version="1.0"),  # RFC 9110 section 7.8: Upgrade in HTTP/1.0 is ignored
]


@pytest.mark.parametrize("request_head", NOT_ASKED)
async def test_upgrade_without_connection_upgrade_goes_no_further(request_head: bytes) -> None:
    async with raw_upstream(says(OK)) as upstream, running_hop(upstream.address) as hop:
        assert read_answer(await hop.send(request_head)).status == 200
        assert field(upstream.heads[0], b"upgrade") is None
        assert field(upstream.heads[0], b"connection") is None


async def test_upgrade_is_found_in_any_connection_line() -> None:
    async with raw_upstream(echoes) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade("websocket", "Connection: x-hop, UPGRADE", "X-Hop: 1", connection="keep-alive"))
        assert read_answer(await client.until(b"\r\n\r\n")).status == 101
        assert field(upstream.heads[0], b"x-hop") is None


async def test_no_byte_of_upgrade_can_make_the_hop_fail() -> None:
    async with raw_upstream(says(OK)) as upstream, running_hop(upstream.address) as hop:
        sent = upgrade("PROTOCOL", "Via: \xff", "X-Request-ID: \xff").replace(b"PROTOCOL", b"\xff\xfe")
        assert read_answer(await hop.send(sent.replace(b"keep-alive", b"\xff"))).status in (200, 400)


async def test_silence_on_both_sides_ends_the_tunnel() -> None:
    async with (
        raw_upstream(echoes) as upstream,
        running_hop(upstream.address, timeouts={"client_idle": "1200ms", "request": "800ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(upgrade())
        await client.until(b"hello")
        client.packets.clear()
        for _ in range(4):  # longer than the idle time, but never silent for so long
            assert await client.silent(0.4)
            await client.send(b"x")
            await client.until(b"x")
            client.packets.clear()
        assert await client.all() == b""
        assert client.end == "fin"
        await until(lambda: upstream.heads[-1] == b"ended")


@pytest.mark.parametrize("direction", ["to the client", "to the endpoint"])
async def test_a_side_that_reads_nothing_stops_the_other(direction: str) -> None:
    size, block, go = 64 << 20, bytes(1 << 16), asyncio.Event()
    moved = 0

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal moved
        await upstream.read_head(reader)
        writer.write(switching())
        if direction == "to the client":
            while moved < size:
                writer.write(block)
                await writer.drain()
                moved += len(block)
        else:
            await go.wait()
            received = 0
            while received < size:
                received += len(await reader.read(1 << 20))
            upstream.heads.append(b"%d" % received)

    async with raw_upstream(script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(upgrade())
        await client.until(b"\r\n\r\n")

        async def pour() -> None:
            nonlocal moved
            while moved < size:
                await client.send(block)
                moved += len(block)

        pouring = asyncio.create_task(pour()) if direction == "to the endpoint" else None
        await until(lambda: moved > 1 << 20)
        last = -1
        while last != moved:
            last = moved
            await asyncio.sleep(0.05)
        assert moved < size // 2
        if pouring is None:
            received = len(client.data) - client.data.index(b"\r\n\r\n") - 4
            while received < size:
                received += len(await client.packet())
        else:
            go.set()
            await pouring
            await until(lambda: upstream.heads[-1] == b"%d" % size)


async def test_a_hop_that_stops_ends_its_tunnels() -> None:
    async with raw_upstream(echoes) as upstream:
        async with running_hop(upstream.address) as hop:
            client_context = hop.client()
            client = await client_context.__aenter__()
            await client.send(upgrade())
            await client.until(b"hello")
            hop.server.pre_shutdown()
            await hop.server.shutdown(0.05)
            await client.all()
            assert client.end in ("fin", "reset")
            await client_context.__aexit__(None, None, None)
        await until(lambda: upstream.heads[-1] == b"ended")
