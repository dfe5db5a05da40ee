"""TLS under an upstream connection, and on the client's side of one: real handshakes over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from badgateway_proxy.transport.tls_stream import HandshakeCutOffError, TlsStream
from tests.support import tls
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream

BIG = os.urandom(1 << 20) * 3


class Ear(asyncio.Protocol):
    """Notes what happens, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.data = b""
        self.lost: Exception | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.seen.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.seen.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.seen.append("lost")

    def pause_writing(self) -> None:
        self.seen.append("pause")

    def resume_writing(self) -> None:
        self.seen.append("resume")

    async def until_lost(self) -> None:
        await until(lambda: "lost" in self.seen, what="the end")


@asynccontextmanager
async def spoken_to(address: str, context: ssl.SSLContext | None = None, name: str = tls.HOST) -> AsyncIterator[Ear]:
    """The client's side of a connection whose handshake is over."""
    loop, ear = asyncio.get_running_loop(), Ear()
    host, _, port = address.rpartition(":")
    stream = TlsStream(loop, context or tls.client("http/1.1"), ear, server_hostname=name)
    await loop.create_connection(lambda: stream, host, int(port))
    try:
        await stream.handshake
        yield ear
    finally:
        stream.abort()


async def echo(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_bytes_pass_both_ways_and_the_end_is_told() -> None:
    async with raw_upstream(echo, tls.server()) as upstream, spoken_to(upstream.address) as ear:
        ear.transport.write(b"hello")
        await until(lambda: ear.data == b"hello", what="the echo")
        secure = ear.transport.get_extra_info("ssl_object")
        assert (secure.version(), ear.transport.get_extra_info("peername")[1]) == ("TLSv1.3", upstream.port)
        ear.transport.close()
        await ear.until_lost()
    assert (ear.seen, ear.lost) == (["made", "lost"], None)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_much_passes_whole_while_either_side_is_slow(version: ssl.TLSVersion) -> None:
    context = tls.client()
    context.maximum_version = version
    async with raw_upstream(echo, tls.server()) as upstream, spoken_to(upstream.address, context) as ear:
        sock = ear.transport.get_extra_info("socket")
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, buffer, 65536)  # a kernel that holds all of it would show nothing
        ear.transport.pause_reading()
        assert not ear.transport.is_reading()
        ear.transport.write(BIG)
        assert "pause" in ear.seen
        assert ear.transport.get_write_buffer_size() > 0
        assert ear.data == b""
        ear.transport.resume_reading()
        await until(lambda: len(ear.data) == len(BIG), what="all of it")
        assert ear.data == BIG
        assert ear.seen[-1] == "resume"


async def test_what_is_held_back_is_handed_out_before_the_end() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.write(b"last words")

    async with raw_upstream(script, tls.server()) as upstream, spoken_to(upstream.address) as ear:
        ear.transport.pause_reading()
        ear.transport.write(b"go")
        await asyncio.sleep(0.05)
        assert ear.data == b""
        ear.transport.resume_reading()
        await ear.until_lost()
    assert (ear.data, ear.seen, ear.lost) == (b"last words", ["made", "eof", "lost"], None)


def beneath(writer: asyncio.StreamWriter) -> socket.socket:
    """A connection's socket, to do to it what TLS knows nothing of."""
    return socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))


async def test_an_end_without_close_notify_is_no_orderly_end() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of")
        await writer.drain()
        with beneath(writer) as sock:
            sock.shutdown(socket.SHUT_WR)
            await reader.read()

    async with raw_upstream(script, tls.server()) as upstream, spoken_to(upstream.address) as ear:
        await ear.until_lost()
    assert (ear.data, ear.seen) == (b"half of", ["made", "lost"])
    assert isinstance(ear.lost, ssl.SSLEOFError)


async def test_bytes_that_are_no_tls_in_the_middle_of_it_end_it() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"good")
        await writer.drain()
        with beneath(writer) as sock:
            sock.send(b"HTTP/1.1 200 OK\r\n\r\n")
            await reader.read()

    async with raw_upstream(script, tls.server()) as upstream, spoken_to(upstream.address) as ear:
        await ear.until_lost()
    assert (ear.data, ear.seen) == (b"good", ["made", "lost"])
    assert isinstance(ear.lost, ssl.SSLError)
    assert ear.lost.reason == "WRONG_VERSION_NUMBER"


async def test_a_reset_is_one() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with raw_upstream(script, tls.server()) as upstream, spoken_to(upstream.address) as ear:
        await ear.until_lost()
    assert isinstance(ear.lost, ConnectionResetError)


async def test_half_an_end_lets_the_peer_finish() -> None:
    heard = []

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    async with raw_upstream(script, tls.server()) as upstream, spoken_to(upstream.address) as ear:
        ear.transport.write(b"that is all")
        ear.transport.write_eof()
        assert ear.transport.is_closing()
        ear.transport.write(b"dropped")
        await ear.until_lost()
    assert heard == [b"that is all"]


# -- handshakes that fail ------------------------------------------------------------------------------


def plain(data: bytes, then: str = "close") -> object:
    """Sends these bytes to whoever connects."""

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if then == "hang" or data:
            await reader.read(65536)
        await writer.drain()

    return script


async def failure(address: str, context: ssl.SSLContext | None = None) -> tuple[Exception, bytes]:
    loop, ear = asyncio.get_running_loop(), Ear()
    stream = TlsStream(loop, context or tls.client(), ear, server_hostname=tls.HOST)
    host, _, port = address.rpartition(":")
    await loop.create_connection(lambda: stream, host, int(port))
    with pytest.raises(OSError) as caught:  # noqa: PT011 - each test looks at what it is
        await stream.handshake
    assert ear.seen == []  # the protocol above never hears of it
    return caught.value, stream.first_bytes


async def test_the_first_bytes_of_a_peer_that_speaks_no_tls_are_kept() -> None:
    async with raw_upstream(plain(b"SSH-2.0-OpenSSH\r\n")) as upstream:  # type: ignore[arg-type]  # see plain
        error, first_bytes = await failure(upstream.address)
    assert isinstance(error, ssl.SSLError)
    assert (error.reason, first_bytes) == ("WRONG_VERSION_NUMBER", b"SSH-2.0-OpenSSH\r\n")


async def test_a_peer_that_closes_in_the_handshake_is_told_from_one_that_refuses_it() -> None:
    async with raw_upstream(plain(b"")) as upstream:  # type: ignore[arg-type]  # see plain
        error, _ = await failure(upstream.address)
    assert isinstance(error, (HandshakeCutOffError, ConnectionResetError))


async def test_whoever_refuses_a_certificate_tells_the_peer_why() -> None:
    heard: list[str] = []
    listener = socket.create_server((tls.HOST, 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                tls.server(tls.certificate(tls.HOST, by="strangers")).wrap_socket(connection, server_side=True).recv(1)
            except ssl.SSLError as error:
                heard.append(error.reason)

    with listener:
        serving = asyncio.create_task(asyncio.to_thread(serve))
        error, _ = await failure(f"{tls.HOST}:{listener.getsockname()[1]}")
        await serving
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert heard == ["TLSV1_ALERT_UNKNOWN_CA"]
