"""The listening side: aiohttp's low-level server, with the parts of its protocol that a gateway must own.

aiohttp parses requests, queues pipelined ones, and slows a client that sends faster than its body is read.
Owned here: the loop over a connection's requests, the deadline for a request's head (408), the answer to what
cannot be parsed (aiohttp's own is a 400 over HTTP/1.0 with a logged traceback), raw bytes after an upgrade.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.helpers import DEFAULT_CHUNK_SIZE
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestHandler, _ErrInfo

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.client_faults import as_http_1_1, asked_for, client_error, unparsable
from badgateway_proxy.transport.driving import Driven, Exchanging, in_task
from badgateway_proxy.transport.repeated import Repeated
from badgateway_proxy.transport.request import Request
from badgateway_proxy.transport.upstream_connection import HIGH_WATER

#: How much of an unfinished head is kept to say what was wrong with it, in bytes.
_HEAD_START = 512

#: How long a request body that nobody wants is still read, so that its sender sees the answer (seconds).
_LINGER = 2.0

#: What aiohttp's parser makes of a request: its head and where its body is read from, or what was wrong with it.
_Parsed = tuple[RawRequestMessage | _ErrInfo, StreamReader]


class Gateway(Protocol):
    """What serves the requests of these connections."""

    client_head_timeout: float
    client_send_timeout: float
    client_options: Mapping[str, Any]
    max_connections: int
    repeated: Repeated[Request]

    def serve(self, client: "ClientConnection", request: Request, body: StreamReader) -> Exchanging:
        """Answer one request. The result says whether the client's connection may carry another."""

    def refuse(self, client: "ClientConnection", error: HopError) -> None:
        """Answer what never became a request; the connection is closed behind it."""


class ClientConnection(RequestHandler):
    """One client's connection."""

    __slots__ = (
        "_busy", "_discarding", "_driven", "_ended", "_gateway", "_head_start", "_head_timer", "_last", "_next_begun",
        "_payload", "_refused", "_server", "_tunnel", "address", "host",
    )  # fmt: skip

    def __init__(self, server: "GatewayServer", gateway: Gateway, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._gateway = gateway
        self._refused: HopError | None = None
        self._discarding = self._ended = self._last = self._next_begun = False
        self._driven = Driven(self._over, self._wake)
        self._head_start = b""
        self._head_timer: asyncio.TimerHandle | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self._busy = False
        self._payload: StreamReader | None = None
        #: The client's address as `host:port`, and its IP address alone.
        self.address, self.host = "", b""

    # -- requests, one after the other ----------------------------------------------------------------

    async def start(self) -> None:
        """Serve this connection's requests in the connection's own task, but for those served by hand.

        Replaces aiohttp's loop, which makes a task and a `web.BaseRequest` for each request so that it can turn
        what a handler raises into an answer of its own. An exchange raises nothing and answers for itself; without
        them a small exchange takes less time. The queue of parsed messages, keep-alive and the flow
        control of pipelined requests stay aiohttp's.

        A request without a body that comes alone to an idle connection does not even need this task (see `driving`).
        """
        try:
            if self._refused is None:
                await self._serve()
            else:
                self._gateway.refuse(self, self._refused)
                await self._linger()
        except asyncio.CancelledError:
            self.force_close()
            raise
        transport = self.transport
        if transport is not None and not self._force_close:
            self._task_handler = None
            transport.close()
            self._abort_unless_taken(transport)

    async def _serve(self) -> None:
        driven = self._driven
        while not self._force_close:
            while not (self._messages or driven.handed_over or self._ended):
                waiter = self._waiter = self._loop.create_future()
                await waiter
                self._waiter = None
            if self._ended:
                return
            if driven.handed_over:
                keep_alive = await self._until_over(driven.rest(), EMPTY_PAYLOAD)
            else:
                keep_alive = await self._one(*self._next_message())
            if not keep_alive or self._last or self._force_close:
                return
            self._await_next()

    def _next_message(self) -> _Parsed:
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return message, payload

    async def _one(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> bool:
        if isinstance(message, _ErrInfo):
            self._gateway.refuse(self, unparsable(message.exc, self._head_start))
            await self._linger()
            return False
        self._busy = self._request_in_progress = True
        self._payload = payload
        return await self._until_over(self._gateway.serve(self, Request(message), payload), payload)

    async def _until_over(self, exchanging: Awaitable[bool], payload: StreamReader) -> bool:
        try:
            keep_alive = await exchanging
            if not payload.is_eof():
                keep_alive = False
                await self._linger()
        finally:
            self._not_busy()
        return keep_alive

    def _not_busy(self) -> None:
        self._busy = self._request_in_progress = False
        self._payload = None
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)

    def _over(self, keep_alive: bool) -> None:
        """An exchange driven by hand is over; the connection's task does the rest, if there is any."""
        self._not_busy()
        if keep_alive and not self._last and not self._force_close:
            self._await_next()
            if self._messages:
                self._wake()
        else:
            self._ended = self._discarding = True
            self._wake()

    def _wake(self) -> None:
        """Wake the connection's task."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _linger(self) -> None:
        """Say that no more comes, and drop what the client still sends: a RST would take the answer with it.

        RFC 9112 section 9.6. Lasts until the client ends the connection, which cancels this, too.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self._force_close:
            return
        self._discarding = True
        if transport.can_write_eof():
            transport.write_eof()
        if not transport.is_reading():
            transport.resume_reading()
        await asyncio.sleep(_LINGER)

    def _abort_unless_taken(self, transport: asyncio.Transport) -> None:
        # Closing waits for what was written to be sent, and for a client that reads nothing it would for ever.
        if transport.get_write_buffer_size():
            self._loop.call_later(self._gateway.client_send_timeout, _cut_off, transport)

    def _await_next(self) -> None:
        self._next_keepalive_close_time = close_time = time.monotonic() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)
        if self._next_begun and not self._messages:
            self._head_begun()

    # -- asyncio.Protocol -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's class
        self.address = address_text(transport.get_extra_info("peername"))
        self.host = self.address.rpartition(":")[0].strip("[]").encode()
        if self._server.serving < self._gateway.max_connections:
            self._server.serving += 1
        else:
            self._refused = client_error(503, "too many client connections", retry_after=1.0)
            self._discarding = True
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = HIGH_WATER  # see UpstreamConnection.connection_made

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel(data)
            return
        if self._discarding or self._force_close or self._close:
            return
        parser = self._parser
        alone = not (self._busy or self._messages or self._waiter is None)
        if alone and self._head_timer is None and (request := self._gateway.repeated.get(data)) is not None:
            self._serve_by_hand(request)
            return
        if self._upgraded or parser is None:
            super().data_received(data)  # which keeps it for the tunnel
            return
        try:
            messages, self._upgraded, tail = parser.feed_data(data)
        except HttpProcessingError as error:
            messages, tail = [(_ErrInfo(status=400, exc=error, message=error.message), EMPTY_PAYLOAD)], b""
        if self._upgraded:
            self._message_tail = tail
        if len(messages) == 1 and alone:
            message, payload = messages[0]
            whole = payload is EMPTY_PAYLOAD and data.endswith(b"\n")
            if whole and not (isinstance(message, _ErrInfo) or message.upgrade):
                parser.message_consumed()
                request = Request(message)
                if self._head_timer is None and request.id is None:  # an id would be another next time
                    self._gateway.repeated.keep(data, request)
                self._serve_by_hand(request)
                return
        self._leave_to_task(messages, data)

    def _serve_by_hand(self, request: Request) -> None:
        """Serve a request that came alone and whole, without waking the connection's task."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._head_start = b""
        self._next_begun = False
        self._busy = self._request_in_progress = True
        self._payload = EMPTY_PAYLOAD
        self._driven.begin(self._gateway.serve(self, request, EMPTY_PAYLOAD))

    def _leave_to_task(self, messages: Sequence[_Parsed], data: bytes) -> None:
        """Queue what was parsed out of `data`, if anything, for the connection's task."""
        awaiting_head = not (self._busy or self._messages)
        start = self._head_start
        if awaiting_head and len(start) < _HEAD_START:
            self._head_start = start + data[:_HEAD_START]
        if messages:
            self._messages.extend(messages)
            if not self._buffer_paused and len(self._messages) >= self._max_msg_queue_size:
                self._pause_reading_for_buffer()
            if not self._busy:
                self._wake()
            self._head_arrived(start, data)
        elif awaiting_head and data:
            self._head_begun()
        elif self._payload is not None and self._payload.is_eof() and data.strip():
            self._next_begun = True

    def _process_keepalive(self) -> None:
        if self._busy:  # which aiohttp tells by whether the task waits; it is armed again after the request
            self._keepalive_handle = None
        else:
            super()._process_keepalive()

    def _head_begun(self) -> None:
        if self._head_timer is None:
            self._next_begun = False
            within = self._gateway.client_head_timeout
            self._head_timer = self._loop.call_later(within, self._head_overdue)
            # It is not idle any more.
            self._next_keepalive_close_time = self._loop.time() + within + self._keepalive_timeout

    def _head_arrived(self, start: bytes, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        message, payload = self._messages[-1] if self._messages else (None, EMPTY_PAYLOAD)
        if isinstance(message, _ErrInfo):
            if self._payload is not None and not self._payload.is_eof():
                # llhttp gave up in the body of the request being served, whose reader would wait for ever.
                self._payload.set_exception(unparsable(message.exc, b""))
            elif not self._busy and len(self._messages) == 1 and len(start) < _HEAD_START:
                self._read_again(start + data)
            return
        self._head_start = b""
        if payload is EMPTY_PAYLOAD:
            # What comes behind the request's head now is the next one, or another protocol.
            self._next_begun = not data.endswith(b"\n")
            if message is not None and message.upgrade:
                self._upgraded = True

    def _read_again(self, head: bytes) -> None:
        """Read a head that aiohttp refused for a later minor version as HTTP/1.1 (RFC 9110 section 2.5)."""
        readable = as_http_1_1(head)
        if readable is None:
            return
        self._messages.clear()
        self._head_start = b""
        self._parser = self._server.new_parser(self)
        self.data_received(readable)

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self.transport is not None and not self._busy:
            seconds = self._gateway.client_head_timeout
            self._gateway.refuse(self, client_error(408, f"the request's head was not complete within {seconds:g} s"))
            self.force_close()

    def close(self) -> None:
        """As the process ends: close an idle connection now, one in use behind its answer."""
        if self._busy or self._messages:
            self._last = True
        else:
            super().close()

    def force_close(self) -> None:
        """Close, without waiting for more than the client's taking in what was written."""
        transport = self.transport
        super().force_close()
        if transport is not None:
            self._abort_unless_taken(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._tunnel is not None:
            self._tunnel(b"")
        if self._refused is None:
            self._server.serving -= 1
        super().connection_lost(exc)
        self._driven.cancel()

    # -- for the exchange -----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            ConnectionError: the client left.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client left")
        transport.write(data)

    async def drain(self, within: float) -> None:
        """Wait while the client takes nothing in, at most `within` seconds; then it is cut off.

        Raises:
            ConnectionError: the client left, or was cut off.
        """
        await in_task()
        try:
            async with asyncio.timeout(within):
                await self._drain_helper()
        except TimeoutError as error:
            if self.transport is not None:
                _cut_off(self.transport)
            raise ConnectionAbortedError("the client took nothing in") from error

    @property
    def asked(self) -> tuple[str, str]:
        """The method and the target that an unfinished or unparsable head begins with, as far as they can be told."""
        return asked_for(self._head_start)

    def reset_at_end(self) -> None:
        """Let the connection end in a RST, for a client that would take an orderly end for that of the response."""
        if self.transport is not None:
            _end_in_reset(self.transport)

    def become_tunnel(self, receive: Callable[[bytes], None]) -> None:
        """Hand every later byte to `receive` (`b""` at the end), first those that came too early."""
        self._tunnel = receive
        early, self._message_tail = self._message_tail, b""
        if early:
            receive(early)
        if self._buffer_paused:
            self._resume_reading_for_buffer()


class GatewayServer(web.Server):
    """aiohttp's low-level server, making our kind of connection."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(_never_called, handler_cancellation=True)
        self._gateway = gateway
        #: How many connections there are, without those that were refused.
        self.serving = 0

    def __call__(self) -> RequestHandler:
        return ClientConnection(
            self, self._gateway, loop=self._loop, access_log=None, auto_decompress=False, **self._gateway.client_options
        )

    def new_parser(self, connection: ClientConnection) -> HttpRequestParser:
        """A parser as aiohttp makes one for a connection."""
        return HttpRequestParser(
            connection,
            self._loop,
            DEFAULT_CHUNK_SIZE,
            max_line_size=connection.max_line_size,
            max_field_size=connection.max_field_size,
            max_headers=connection.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )


async def _never_called(request: web.BaseRequest) -> NoReturn:
    raise AssertionError("ClientConnection serves requests itself")


def _end_in_reset(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _cut_off(transport: asyncio.Transport) -> None:
    """End at once, and let the kernel forget what the client did not take, too."""
    if not transport.get_write_buffer_size():
        return
    _end_in_reset(transport)
    transport.abort()


def address_text(peer: Any) -> str:
    """A socket's address as `host:port`, `[host]:port` for IPv6; empty for none."""
    if not isinstance(peer, tuple):
        return ""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
