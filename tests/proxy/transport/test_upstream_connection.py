"""One connection to an endpoint: its pace, its deadlines, its end.

What an endpoint can do over a socket is in test_exchange.py and test_reply.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.transport.response_reader import ResponseHead
from badgateway_proxy.transport.upstream_connection import HIGH_WATER, UpstreamConnection
from tests.support.peers import OK, reset
from tests.support.pipe import LIMITS, REQUEST, connection_on, loop_running_nothing
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream

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
    connection.expect_within(loop.time() + 60, ErrorType.HTTP_RESPONSE_TIMEOUT, "late")
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
                await connection.changed
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
