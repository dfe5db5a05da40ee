"""The listening side: aiohttp's low-level server, with the parts of its protocol that a gateway must own.

aiohttp parses requests, and slows a client that sends faster than its body is read. Owned here: the deadline for a
request's head (408), the answer to what cannot be parsed (aiohttp's own is a 400 over HTTP/1.0 with a logged
traceback), heads that come again, raw bytes after an upgrade.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from aiohttp import StreamReader
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.client_faults import as_http_1_1, asked_for, client_error, id_in, unparsable
from badgateway_proxy.transport.custom_methods import CustomMethod
from badgateway_proxy.transport.driving import Exchanging, in_task
from badgateway_proxy.transport.request import Request
from badgateway_proxy.transport.request_loop import Parsed, RequestLoop
from badgateway_proxy.transport.sockets import address_text, cut_off, end_in_reset
from badgateway_proxy.transport.upstream_connection import HIGH_WATER

#: How much of an unfinished head is kept to say what was wrong with it, in bytes.
_HEAD_START = 512


class ClientConnection(RequestLoop):
    """One client's connection."""

    __slots__ = ()

    # -- asyncio.Protocol -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's class
        self.address = address_text(transport.get_extra_info("peername"))
        self.host = self.address.rpartition(":")[0].strip("[]").encode()
        if self._refused is not None:
            self._discarding = True
        elif self._server.serving < self._gateway.max_connections:
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
            # The parser forgets what came whole before it in the same packet: this is the answer to that, too.
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

    def _leave_to_task(self, messages: Sequence[Parsed], data: bytes) -> None:
        """Queue what was parsed out of `data`, if anything, for the connection's task."""
        awaiting_head = not (self._busy or self._messages)
        start = self._head_start
        before = self._messages[-1][1] if self._messages else self._payload
        if before is None or before is EMPTY_PAYLOAD:  # behind a body, `data` may begin with the rest of it
            self._keep_head_start(data, refused=bool(messages) and isinstance(messages[-1][0], _ErrInfo))
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

    def _keep_head_start(self, data: bytes, *, refused: bool) -> None:
        start = self._head_start
        if refused and len(start) <= _HEAD_START:
            # All of it, as the X-Request-ID stands behind a request line that may be what is too long. It is not waited
            # for: a line that is too long need not have an end.
            self._head_start = start + data
        elif len(start) < _HEAD_START:
            self._head_start = start + data[: _HEAD_START - len(start)]

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
                self._read_again(start + data, message.exc)
            return
        self._head_start = b""
        if payload is EMPTY_PAYLOAD:
            # What comes behind the request's head now is the next one, or another protocol.
            self._next_begun = not data.endswith(b"\n")
            if message is not None and message.upgrade:
                self._upgraded = True

    def _read_again(self, head: bytes, refused: BaseException) -> None:
        """Read a head that aiohttp refused as HTTP/1.1 if it has a later minor version (RFC 9110 section 2.5).

        Or as what it is, if its method is one that llhttp does not know, and that is to be passed on.
        """
        before, parser = cast(object, self._parser), self._server.new_parser(self)
        readable = as_http_1_1(head)
        if readable is None:
            tried = isinstance(before, CustomMethod) and not before.told
            if tried or not (self._gateway.allow_custom_methods and isinstance(refused, BadHttpMethod)):
                return
            readable, parser = head, cast(HttpRequestParser, CustomMethod(parser))
        self._messages.clear()
        self._head_start = b""
        self._parser = parser
        self.data_received(readable)

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self.transport is not None and not self._busy:
            seconds = self._gateway.client_head_timeout
            self._refuse(client_error(408, f"the request's head was not complete within {seconds:g} s"))
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

    # -- for the request loop -------------------------------------------------------------------------

    def _exchange(self, request: Request, body: StreamReader) -> Exchanging:
        return self._gateway.serve(self, request, body)

    def _refuse(self, error: HopError) -> None:
        self._gateway.refuse(self, error)

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
        if self.meter is not None:
            self.meter(len(data))

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
                cut_off(self.transport)
            raise ConnectionAbortedError("the client took nothing in") from error

    def refuse_with(self, error: HopError, asked: bytes) -> None:
        """Answer `error` as soon as the connection is made; `asked` is how the request began."""
        self._refused, self._head_start = error, asked[:_HEAD_START]

    @property
    def asked(self) -> tuple[str, str]:
        """The method and the target that an unfinished or unparsable head begins with, as far as they can be told."""
        return asked_for(self._head_start[:_HEAD_START])

    @property
    def given_id(self) -> str | None:
        """The X-Request-ID of an unfinished or unparsable head, if it is among what was kept of it."""
        return id_in(self._head_start)

    def reset_at_end(self) -> None:
        """Let the connection end in a RST, for a client that would take an orderly end for that of the response."""
        if self.transport is not None:
            end_in_reset(self.transport)

    def become_tunnel(self, receive: Callable[[bytes], None]) -> None:
        """Hand every later byte to `receive` (`b""` at the end), first those that came too early."""
        self._tunnel = receive
        early, self._message_tail = self._message_tail, b""
        if early:
            receive(early)
        if self._buffer_paused:
            self._resume_reading_for_buffer()
