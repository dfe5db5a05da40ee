"""The listening side: aiohttp's low-level server, with the parts of its protocol that a gateway must own.

aiohttp parses requests, queues pipelined ones, and slows a client that sends faster than its body is read.
Owned here: the loop over a connection's requests, the deadline for a request's head (408), the answer to what
cannot be parsed (aiohttp's own is a 400 over HTTP/1.0 with a logged traceback), raw bytes after an upgrade.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from badgateway_proxy.client_faults import client_error, unparsable
from badgateway_proxy.errors import HopError
from badgateway_proxy.upstream_connection import HIGH_WATER

#: How much of an unfinished head is kept to say what was wrong with it, in bytes.
_HEAD_START = 512

#: How long a request body that nobody wants is still read, so that its sender sees the answer (seconds).
_LINGER = 2.0


class Gateway(Protocol):
    """What serves the requests of these connections."""

    client_head_timeout: float
    max_connections: int

    def serve(self, client: "ClientConnection", message: RawRequestMessage, body: StreamReader) -> Awaitable[bool]:
        """Answer one request. The result says whether the client's connection may carry another."""

    def refuse(self, client: "ClientConnection", error: HopError) -> None:
        """Answer what never became a request; the connection is closed behind it."""


class ClientConnection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_busy", "_gateway", "_head_start", "_head_timer", "_payload", "_tunnel", "address", "host")

    def __init__(self, server: "GatewayServer", gateway: Gateway, **options: Any) -> None:
        super().__init__(server, **options)
        self._gateway = gateway
        self._head_start = b""
        self._head_timer: asyncio.TimerHandle | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self._busy = False
        self._payload: StreamReader | None = None
        #: The client's IP address, and with its port as `host:port`.
        self.host = self.address = ""

    # -- requests, one after the other ----------------------------------------------------------------

    async def start(self) -> None:
        """Serve this connection's requests in the connection's own task.

        Replaces aiohttp's loop, which makes a task and a `web.BaseRequest` for each request so that it can turn
        what a handler raises into an answer of its own. An exchange raises nothing and answers for itself; without
        them a small exchange takes a fifth less time. The queue of parsed messages, keep-alive and the flow
        control of pipelined requests stay aiohttp's.
        """
        try:
            while not self._force_close:
                if not self._messages:
                    waiter = self._waiter = self._loop.create_future()
                    await waiter
                    self._waiter = None
                message, payload = self._messages.popleft()
                if self._parser is not None:
                    self._parser.message_consumed()
                if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
                    self._resume_reading_if_drained()
                if not await self._one(message, payload) or self._close or self._force_close:
                    break
                self._await_next()
        except asyncio.CancelledError:
            self.force_close()
            raise
        if self.transport is not None and not self._force_close:
            self._task_handler = None
            self.transport.close()

    async def _one(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> bool:
        if isinstance(message, _ErrInfo):
            self._gateway.refuse(self, unparsable(message.exc, self._head_start))
            return False
        self._busy = self._request_in_progress = True
        self._payload = payload
        try:
            keep_alive = await self._gateway.serve(self, message, payload)
        finally:
            self._busy = self._request_in_progress = False
            self._payload = None
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if not payload.is_eof():
            await self._linger(payload)
            return False
        return keep_alive

    async def _linger(self, payload: StreamReader) -> None:
        """Say that no more comes, and read what the client still sends: a RST would take the answer with it."""
        transport = self.transport
        if transport is None or transport.is_closing() or self._force_close or payload.exception() is not None:
            return
        if transport.can_write_eof():
            transport.write_eof()
        try:
            async with asyncio.timeout(_LINGER):
                while not payload.at_eof():
                    await payload.readany()
        except (TimeoutError, ConnectionError, web.RequestPayloadError, HopError):
            return

    def _await_next(self) -> None:
        self._next_keepalive_close_time = close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)

    # -- asyncio.Protocol -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's class
        if hasattr(transport, "max_size"):
            transport.max_size = HIGH_WATER  # see UpstreamConnection.connection_made
        self.address = address_text(self.peername)
        self.host = self.address.rpartition(":")[0].strip("[]")
        manager = self._manager
        if manager is not None and len(manager.connections) > self._gateway.max_connections:
            self._gateway.refuse(self, client_error(503, "too many client connections"))
            self.force_close()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel(data)
            return
        awaiting_head = not (self._busy or self._messages)
        if awaiting_head and len(self._head_start) < _HEAD_START:
            self._head_start += data[:_HEAD_START]
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._head_arrived()
        elif awaiting_head and data and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._gateway.client_head_timeout, self._head_overdue)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        message = self._messages[-1][0] if self._messages else None
        if not isinstance(message, _ErrInfo):
            self._head_start = b""
        elif self._payload is not None and not self._payload.is_eof():
            # llhttp gave up in the body of the request being served, whose reader would wait for ever.
            self._payload.set_exception(unparsable(message.exc, b""))

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self.transport is not None and not self._busy:
            seconds = self._gateway.client_head_timeout
            self._gateway.refuse(self, client_error(408, f"the request's head was not complete within {seconds:g} s"))
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._tunnel is not None:
            self._tunnel(b"")
        super().connection_lost(exc)

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
        try:
            async with asyncio.timeout(within):
                await self._drain_helper()
        except TimeoutError as error:
            self.abort()
            raise ConnectionAbortedError("the client took nothing in") from error

    def abort(self) -> None:
        """End the connection with what was sent so far, as visibly as TCP can."""
        if self.transport is not None:
            self.transport.abort()

    def become_tunnel(self, receive: Callable[[bytes], None]) -> None:
        """Hand every later byte to `receive` (`b""` at the end), first those that came too early."""
        self._tunnel = receive
        early, self._message_tail = self._message_tail, b""
        if early:
            receive(early)


class GatewayServer(web.Server):
    """aiohttp's low-level server, making our kind of connection."""

    def __init__(self, gateway: Gateway, **options: Any) -> None:
        super().__init__(_never_called, handler_cancellation=True, access_log=None, **options)
        self._gateway = gateway

    def __call__(self) -> RequestHandler:
        return ClientConnection(self, self._gateway, loop=self._loop, **self._kwargs)


async def _never_called(request: web.BaseRequest) -> NoReturn:
    raise AssertionError("ClientConnection serves requests itself")


def address_text(peer: Any) -> str:
    """A socket's address as `host:port`, `[host]:port` for IPv6; empty for none."""
    if not isinstance(peer, tuple):
        return ""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
