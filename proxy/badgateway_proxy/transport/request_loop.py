"""The requests of one client's connection, one after the other.

aiohttp parses requests and queues pipelined ones. Owned here: the loop over them, which runs small exchanges without
a task (see `driving`), keep-alive, and how a connection ends so that its client still sees the last answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.client_faults import unparsable
from badgateway_proxy.transport.driving import Driven, Exchanging
from badgateway_proxy.transport.request import Request
from badgateway_proxy.transport.sockets import cut_off

if TYPE_CHECKING:
    from badgateway_proxy.transport.gateway_server import Gateway, GatewayServer

#: How long a request body that nobody wants is still read, so that its sender sees the answer (seconds).
_LINGER = 2.0

#: What aiohttp's parser makes of a request: its head and where its body is read from, or what was wrong with it.
Parsed = tuple[RawRequestMessage | _ErrInfo, StreamReader]


class RequestLoop(RequestHandler):
    """Serves what its subclass `ClientConnection` has parsed."""

    __slots__ = (
        "_busy", "_discarding", "_driven", "_ended", "_gateway", "_head_start", "_head_timer", "_last", "_next_begun",
        "_payload", "_refused", "_server", "_tunnel", "address", "host", "meter",
    )  # fmt: skip

    def __init__(self, server: "GatewayServer", gateway: "Gateway", **options: Any) -> None:
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
        #: Is told how many bytes go to the client, if there is one.
        self.meter: Callable[[int], None] | None = None
        #: The client's address as `host:port`, and its IP address alone.
        self.address, self.host = "", b""

    # -- what `ClientConnection` adds -------------------------------------------------------------------

    def _exchange(self, request: Request, body: StreamReader) -> Exchanging:
        """Answer one request. The result says whether this connection may carry another."""
        raise NotImplementedError

    def _refuse(self, error: HopError) -> None:
        """Answer what never became a request; the connection is closed behind it."""
        raise NotImplementedError

    def _head_begun(self) -> None:
        """The head of the next request has begun to come."""
        raise NotImplementedError

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
                self._refuse(self._refused)
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

    def _next_message(self) -> Parsed:
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return message, payload

    async def _one(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> bool:
        if isinstance(message, _ErrInfo):
            self._refuse(unparsable(message.exc, self._head_start))
            await self._linger()
            return False
        self._busy = self._request_in_progress = True
        self._payload = payload
        return await self._until_over(self._exchange(Request(message), payload), payload)

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
            self._loop.call_later(self._gateway.client_send_timeout, cut_off, transport)

    def _await_next(self) -> None:
        self._next_keepalive_close_time = close_time = time.monotonic() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)
        if self._next_begun and not self._messages:
            self._head_begun()
