"""One connection to an endpoint, fed byte by byte: what it makes of a response must not depend on the packets.

What an endpoint can do over a socket is in test_exchange.py and test_reply.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.transport.upstream_connection import HIGH_WATER, ResponseHead, ResponseLimits, UpstreamConnection
from tests.support.peers import OK, reset
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream

LIMITS = ResponseLimits(head=2000, header=1000, headers=20, interim=3, first_bytes=64)
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Pipe(asyncio.Transport):
    """A transport that only remembers."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 4321)})
        self.written = b""
        self.reading = True
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True


@contextlib.contextmanager
def loop_running_nothing() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for the timers of connections that are driven by hand."""
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


def connection_on(
    loop: asyncio.AbstractEventLoop, method: str = "GET", limits: ResponseLimits = LIMITS
) -> tuple[UpstreamConnection, Pipe]:
    connection, pipe = UpstreamConnection(loop, limits, lambda _: None), Pipe()
    connection.connection_made(pipe)
    connection.send_head(REQUEST, method)
    return connection, pipe


Verdict = tuple[list[tuple[int, bytes]], bytes, str | None, bool]


def verdict(packets: list[bytes], *, fin: bool, method: str = "GET") -> Verdict:
    """What becomes of a response that comes in these packets: its heads, its body, the error, whether it may go on."""
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop, method)
        heads, body = [], b""
        for packet in packets:
            connection.data_received(packet)
        if fin:
            connection.eof_received()
        with contextlib.suppress(HopError):
            while head := connection.next_head():
                heads.append((head.status, head.reason))
        body = connection.take()
        error = connection.error
        reusable = connection.reusable
        connection.connection_lost(None)
        return heads, body, None if error is None else error.error.value, reusable


def cut(data: bytes, at: list[int]) -> list[bytes]:
    points = sorted({0, len(data), *(point % (len(data) + 1) for point in at)})
    return [data[first:last] for first, last in itertools.pairwise(points)]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

RESPONSES: list[tuple[bytes, str]] = [
    (OK, "GET"),
    (b"HTTP/1.1 200 All is well\r\nA: b\r\nContent-Length: 5\r\n\r\nhello", "GET"),
    (CHUNKED + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: x\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET"),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK, "GET"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"),
    (b"HTTP/1.1 200 OK\r\n\r\n", "HEAD"),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", "GET"),
    (b"HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
    # refused
    (b"garbage and more of it, long enough to be told apart\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", "GET"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", "GET"),
    (b"HTTP/2.0 200 OK\r\n\r\nhello", "GET"),
    (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4 + OK, "GET"),
    (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 1100 + b"\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: %b\r\n" % (n, b"x" * 300) for n in range(9)) + b"\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 21 + b"\r\n", "GET"),
    (b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Len", "GET"),
    (b"", "GET"),
]


@given(st.sampled_from(RESPONSES), st.lists(st.integers(0, 3000), max_size=12))
def test_packets_do_not_change_the_verdict(response: tuple[bytes, str], at: list[int]) -> None:
    data, method = response
    assert verdict(cut(data, at), fin=True, method=method) == verdict([data], fin=True, method=method)


@given(st.lists(st.integers(0, 3000), max_size=12))
def test_surplus_bytes_leave_the_response_whole_and_the_connection_unusable(at: list[int]) -> None:
    data = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
    assert verdict(cut(data, at), fin=False) == ([(200, b"OK")], b"ok", None, False)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5), st.booleans())
def test_no_bytes_make_it_fail_in_any_other_way(data: bytes, at: list[int], fin: bool) -> None:
    verdict(cut(data, at), fin=fin)
    verdict(cut(b"HTTP/1.1 200 OK\r\n" + data, at), fin=fin)
    verdict(cut(CHUNKED + data, at), fin=fin)
    verdict(cut(b"HTTP/1.1 101 S\r\n\r\n" + data, at), fin=fin)


# -- what it remembers ---------------------------------------------------------------------------------


def test_the_first_bytes_are_kept_and_no_more() -> None:
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop)
        connection.data_received(b"x")
        connection.data_received(b"y" * 100)
        assert connection.first_bytes == b"x" + b"y" * 63
        with pytest.raises(HopError) as caught:
            connection.next_head()
        assert caught.value.first_bytes == b"x"  # as many as there were when it was clear


def test_what_is_not_to_be_shown_is_still_looked_at() -> None:
    shown = ResponseLimits(head=2000, header=1000, headers=20, interim=3, first_bytes=0)
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop, limits=shown)
        connection.data_received(bytes.fromhex("15030100020246"))
        with pytest.raises(HopError, match="TLS alert") as caught:
            connection.next_head()
        assert caught.value.first_bytes == b""


def test_each_exchange_begins_anew() -> None:
    with loop_running_nothing() as loop:
        connection, pipe = connection_on(loop)
        for body in (b"one", b"two"):
            connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body)
            assert connection.first_bytes.endswith(body)
            assert connection.next_head() is not None
            assert connection.take() == body
            assert connection.reusable
            connection.release()
            connection.send_head(REQUEST, "GET")
        assert pipe.written == REQUEST * 3


def test_a_head_of_a_response_to_head_leaves_the_parser_ready_for_the_next() -> None:
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop, "HEAD")
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        assert connection.reusable
        connection.release()
        connection.send_head(REQUEST, "GET")
        connection.data_received(OK)
        assert connection.next_head() is not None
        assert connection.take() == b"ok"
        assert connection.reusable


# -- pace ----------------------------------------------------------------------------------------------


def test_reading_pauses_while_nobody_takes_the_body() -> None:
    with loop_running_nothing() as loop:
        connection, pipe = connection_on(loop)
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        block = bytes(HIGH_WATER // 2)
        for _ in range(2):
            connection.data_received(block)
            assert pipe.reading
        connection.data_received(block)
        assert not pipe.reading
        assert len(connection.take()) == 3 * len(block)
        assert pipe.reading


async def test_a_late_head_and_a_late_body_are_told_apart() -> None:
    loop = asyncio.get_running_loop()
    connection, _ = connection_on(loop)
    connection.expect_within(loop.time() + 0.01, ErrorType.HTTP_RESPONSE_TIMEOUT, "head")
    await until(lambda: connection.error)
    with pytest.raises(HopError, match="http_response_timeout") as caught:
        connection.next_head()
    assert caught.value.details == "head"

    connection, _ = connection_on(loop)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    head = connection.next_head()
    assert isinstance(head, ResponseHead)
    connection.phase = Phase.RECEIVE
    connection.expect_within(loop.time() + 0.01, ErrorType.CONNECTION_READ_TIMEOUT, "body")
    assert await connection.read() == b"hel"
    await asyncio.sleep(0.02)  # nobody waits for bytes meanwhile, so nothing is late
    assert connection.error is None
    connection.expect_within(loop.time() + 0.01, ErrorType.CONNECTION_READ_TIMEOUT, "body")
    with pytest.raises(HopError, match="connection_read_timeout in phase receive: body"):
        await connection.read()


async def test_a_later_deadline_replaces_an_earlier_one() -> None:
    loop = asyncio.get_running_loop()
    connection, _ = connection_on(loop)
    connection.expect_within(loop.time() + 0.01, ErrorType.HTTP_RESPONSE_TIMEOUT, "early")
    connection.expect_within(loop.time() + 0.06, ErrorType.HTTP_RESPONSE_TIMEOUT, "late")
    await asyncio.sleep(0.03)
    assert connection.error is None
    connection.expect_within(loop.time() + 0.01, ErrorType.HTTP_RESPONSE_TIMEOUT, "early again")
    await until(lambda: connection.error)
    assert "early again" in str(connection.error)
    connection.connection_lost(None)


def test_a_whole_response_outlives_what_goes_wrong_behind_it() -> None:
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop)
        connection.data_received(OK)
        connection.fail(HopError(ErrorType.HTTP_REQUEST_ERROR, "the client's", phase=Phase.CLIENT, status=408))
        assert connection.next_head() is not None
        assert connection.take() == b"ok"
        assert not connection.reusable


# -- over a socket -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def connected(upstream: RawUpstream) -> AsyncIterator[UpstreamConnection]:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: UpstreamConnection(loop, LIMITS, lambda _: None), "127.0.0.1", upstream.port
    )
    try:
        yield connection
    finally:
        connection.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_lost_before_it_was_used_does_not_hang(how: str) -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how == "reset":
            reset(writer)

    async with raw_upstream(script) as upstream, connected(upstream) as connection:
        await until(lambda: connection.closed)
        connection.send_head(REQUEST, "GET")
        with pytest.raises(HopError) as caught:
            connection.next_head()
        assert caught.value.error is ErrorType.CONNECTION_TERMINATED


async def test_a_peer_that_speaks_first_is_no_http_server() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()

    async with raw_upstream(script) as upstream, connected(upstream) as connection:
        await until(lambda: connection.closed)
        connection.send_head(REQUEST, "GET")
        with pytest.raises(HopError, match="spoke before it was asked") as caught:
            connection.next_head()
        assert caught.value.error is ErrorType.HTTP_PROTOCOL_ERROR
        assert caught.value.first_bytes == b"220 mail.example ESMTP\r\n"


async def test_an_answer_before_a_reset_is_read_though_writing_failed() -> None:
    """The write fails before the answer is read: asyncio would drop what lies in the socket."""
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(loop, LIMITS, lambda _: None), *listener.getsockname()
        )
        peer, _ = await loop.sock_accept(listener)
        connection.send_head(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", "POST")
        peer.recv(10)
        peer.sendall(early)
        peer.close()  # with unread bytes: a RST
        await connection.send_body(b"more")  # fails, in the same turn of the loop
        await connection.send_body(b"more")
        async with asyncio.timeout(5):
            while (head := connection.next_head()) is None:
                await connection.changed()
        assert head.status == 413
        assert await connection.read() == b"big"
        assert not connection.reusable
        connection.close()


async def test_a_peer_that_takes_nothing_in_stops_the_sender() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # no stream reads less than it can
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    async with raw_upstream(script) as upstream, connected(upstream) as connection:
        connection.send_head(REQUEST, "POST")
        connection.expect_within(loop.time() + 0.05, ErrorType.CONNECTION_WRITE_TIMEOUT, "stuck")
        with pytest.raises(HopError, match="stuck"):
            await send_on_and_on(connection)


async def send_on_and_on(connection: UpstreamConnection) -> None:
    for _ in range(1000):
        await connection.send_body(bytes(1 << 16))
