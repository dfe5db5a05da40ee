"""One connection to an endpoint: sends requests, parses responses, and says exactly what went wrong.

Transport only: it decides nothing about retries, statuses or pooling. Every failure comes out as one
`HopError` that carries the RFC 9209 error type, the phase, and the first bytes that the peer sent.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httptools

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.transport.diagnosis import closed_early, diagnose
from badgateway_proxy.transport.headers import FieldNames

#: Bytes of body held for a slow reader before reading from the peer pauses.
HIGH_WATER = 64 * 1024

_SWITCHING_PROTOCOLS = 101

#: At least so many of a response's first bytes are looked at, however few of them are to be shown.
_TELLING = 32

#: RFC 9112 section 2.3: what a peer says in a later minor version of HTTP/1 can be read as HTTP/1.1.
_HTTP_1 = re.compile(r"1\.[0-9]")

#: What may not stand in a reason phrase (RFC 9112 section 4).
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

#: Reason phrases that need no look at their bytes.
_PHRASES = frozenset(status.phrase.encode() for status in HTTPStatus)

_FRAMING_NAMES = FieldNames({b"content-length", b"transfer-encoding", b"connection"})

#: The least that a head has besides its fields: `HTTP/1.1 200`, and the ends of two lines.
_BARE_HEAD = 16


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Caps on what one response may make the hop hold. Sizes in bytes."""

    head: int
    header: int
    headers: int
    interim: int
    first_bytes: int


class ResponseHead:
    """A response's status line and header section as received (names keep their case).

    `length` is the Content-Length in bytes or None; `chunked` is true under Transfer-Encoding: chunked;
    `connection` holds the values of its Connection fields.
    """

    __slots__ = ("chunked", "connection", "headers", "length", "reason", "status")

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.chunked = False
        self.connection: tuple[bytes, ...] = ()


class UpstreamConnection(asyncio.Protocol):
    """A keep-alive HTTP/1.1 connection of which one exchange at a time has the use.

    In order: `send_head`, any `send_body`, then `next_head` (waiting on `changed`) until a final status, then `read`
    until it returns `b""`. `reusable` says afterwards whether the connection may serve another request.
    Deadlines are absolute times of the event loop's clock; `expect_within` sets the one in force.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: ResponseLimits,
        on_lost: Callable[["UpstreamConnection"], None],
    ) -> None:
        self._loop = loop
        self.limits = limits  # what this connection holds its peer to
        self._kept = max(limits.first_bytes, _TELLING)
        self._harmless = min(limits.header, limits.head)  # so many bytes cannot hold anything that is too large
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._parser = self._new_parser()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._deadline_error: tuple[ErrorType, str] = (ErrorType.CONNECTION_READ_TIMEOUT, "")
        self._read_waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._writing_paused = False
        self._reading_paused = False
        self._tunnel: Callable[[bytes], None] | None = None
        self.local = ""
        self.idle_since = 0.0
        self.closed = False
        self._peer_ended = False
        self._unasked = b""
        self.served = 0
        self.in_use = False
        self._begin("GET")

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(lenient_version=True)  # versions are ours to judge
        return parser

    # -- one exchange ---------------------------------------------------------------------------------

    def _begin(self, method: str) -> None:
        self._head_only = method == "HEAD"
        self._head = ResponseHead()
        self._heads: list[ResponseHead] = []
        self._interim_seen = 0
        self._heads_size = 0
        self._head_done = False
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._error: HopError | None = None
        self._unusable = False
        self._surplus = False
        self._keep_alive = True
        self._until_close = False
        self._body_at_last_look = 0
        self._bytes_without_body = 0
        self.phase = Phase.SEND
        self.complete = False
        self.received = 0
        self.body_received = 0
        self._start = b""

    @property
    def first_bytes(self) -> bytes:
        """What the peer sent first in answer to this request, as far as it is kept."""
        return self._start[: self.limits.first_bytes]

    def send_head(self, head: bytes, method: str) -> None:
        """Start an exchange: write a request head (with a small body behind it, if there is one).

        Args:
            head: the request line and header section, ended by its empty line.
            method: the request's method; HEAD's response has no body whatever its head says.
        """
        self._begin(method)
        self.in_use = True
        self.served += 1
        assert self._transport is not None
        if self._unasked:
            self._start = self._unasked
            self._unusable_because(ErrorType.HTTP_PROTOCOL_ERROR, "the peer spoke before it was asked")
        elif self.closed:
            self._error = self._lost(None)
        else:
            self._transport.write(head)

    async def send_body(self, data: bytes) -> None:
        """Write part of a request's body; wait while the peer takes nothing.

        Raises:
            HopError: connection_write_timeout, or what ended the connection.
        """
        if self._error is not None:
            raise self._error
        if self._transport is None or self.closed:
            raise self._lost(None)
        self._transport.write(data)
        if self._writing_paused:
            self._write_waiter = self._loop.create_future()
            try:
                await self._write_waiter
            finally:
                self._write_waiter = None
            if self._error is not None:
                raise self._error

    def next_head(self) -> ResponseHead | None:
        """The next response head that has come, interim (1xx) ones included; None while none has: see `changed`.

        Raises:
            HopError: what the peer did instead of sending one.
        """
        if self._heads and not (self._unusable and self._head_done):
            return self._heads.pop(0)
        # A head that came in one packet with something that is no HTTP: nothing of it was relayed yet, so an honest
        # 502 is still possible. One whose body only ends too early is relayed, and cut where it was.
        if self._error is not None:
            raise self._error
        return None

    def changed(self) -> "asyncio.Future[None]":
        """Wait (await it) until something has happened: bytes came, a deadline passed, the connection ended."""
        waiter = self._read_waiter = self._loop.create_future()
        return waiter

    async def read(self) -> bytes:
        """Return what has come of the body, waiting for some; `b""` at its end.

        Raises:
            HopError: why the body will never be complete, once all that was received has been read.
        """
        while not self._chunks:
            if self.complete:
                return b""
            if self._error is not None:
                raise self._error
            await self.changed()
        self._deadline = None  # while the client is slow to take these bytes, the peer is not late
        return self.take()

    def take(self) -> bytes:
        """Return at once what has come of the body, maybe nothing."""
        chunks = self._chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._buffered = 0
        if self._reading_paused:
            self._reading_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def _wake(self) -> None:
        waiter = self._read_waiter
        if waiter is not None:
            self._read_waiter = None
            if not waiter.done():
                waiter.set_result(None)

    @property
    def error(self) -> HopError | None:
        """What ended the exchange early, None while nothing has."""
        return self._error

    @property
    def head_done(self) -> bool:
        """Whether the final response head has come, even if nobody has taken it yet."""
        return self._head_done

    @property
    def reusable(self) -> bool:
        """Whether another request may go over this connection after a complete response."""
        return (
            self.complete
            and self._keep_alive
            and not self._surplus
            and not self.closed
            and not self._peer_ended
            and self._error is None
            and not self._writing_paused
        )

    # -- deadlines ------------------------------------------------------------------------------------

    def expect_within(self, deadline: float, error: ErrorType, details: str) -> None:
        """Set the time by which the next thing must have happened, and the error if it has not.

        Args:
            deadline: absolute time of the loop's clock, in seconds.
            error: the RFC 9209 type that passing it means.
            details: the sentence for Proxy-Status.
        """
        self._deadline = deadline
        self._deadline_error = (error, details)
        timer = self._timer
        # A timer that fires too early looks again; so a pooled connection arms one about once a deadline,
        # not once a request.
        if timer is None:
            self._timer = self._loop.call_at(deadline, self._on_timer)
        elif timer.when() > deadline:
            timer.cancel()
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline is None or self.closed:
            return
        if time.monotonic() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
            return
        if self.complete or not self.in_use:
            return
        error, details = self._deadline_error
        self.fail(HopError(error, details, phase=self.phase, first_bytes=self.first_bytes))

    def expect_nothing(self) -> None:
        """Let no deadline be in force until the next `expect_within`."""
        self._deadline = None

    def fail(self, error: HopError) -> None:
        """End the exchange with `error`; whoever waits gets it. The first error stays, and so does a whole response."""
        if self.complete:
            self._keep_alive = False
        elif self._error is None:
            self._error = error
        self._wake()
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    # -- asyncio.Protocol -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's class
        self._transport = transport
        # asyncio reads 256 KiB at a time; that costs a mapping per read, and a quarter of a MiB a connection.
        if hasattr(transport, "max_size"):
            transport.max_size = HIGH_WATER
        name = transport.get_extra_info("sockname")
        if name:  # none for a connection that was reset at once
            self.local = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel(data)
            return
        if not self.in_use:
            # Nobody asked: bytes that a peer sends between two responses must never reach the next client.
            self._unasked = data[: self._kept]
            self.close()
            return
        if self.received < self._kept:
            self._start += data[: self._kept - self.received]
        self.received += len(data)
        if self._head_done and self._head.status == _SWITCHING_PROTOCOLS:
            self._chunks.append(data)
            self._wake()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switched(data[upgrade.args[0] :])
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            self._parser_stopped(error)
        if self._error is None and not self.complete:
            self._cap_what_the_parser_holds(len(data))
        if self._buffered > HIGH_WATER and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            if not self._transport.is_closing():
                self._transport.pause_reading()
        self._wake()

    def _cap_what_the_parser_holds(self, size: int) -> None:
        # llhttp has no limits: a head or trailer line without an end would grow in memory for as long as it comes.
        if not self._head_done:
            if self.received > self.limits.header:
                self._cap_head()
        elif self.body_received != self._body_at_last_look:
            self._body_at_last_look = self.body_received
            self._bytes_without_body = 0
        else:
            self._bytes_without_body += size
            if self._bytes_without_body > self.limits.head:
                details = f"chunk extensions or trailers exceed {self.limits.head} bytes"
                self._unusable_because(ErrorType.HTTP_RESPONSE_TRAILER_SECTION_SIZE, details)

    def _cap_head(self) -> None:
        limits, head = self.limits, self._head
        size = sum(len(name) + len(value) + 4 for name, value in head.headers)
        if self.received - self._heads_size - _BARE_HEAD - len(head.reason) - size > limits.header + 4:
            self._too_large(f"a header exceeds {limits.header} bytes", one=True)
        elif size > limits.head:
            self._too_large(f"the response headers exceed {limits.head} bytes together")

    def eof_received(self) -> None:
        """Note that the peer ends the connection; asyncio now closes it."""
        self._peer_ended = True
        if self.in_use:
            self._ended(None)
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ConnectionError) and self.in_use and not self.complete and not self.closed:
            self._read_last_words()
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tunnel is not None:
            self._tunnel(b"")
        self._ended(exc)
        self._on_lost(self)

    def _ended(self, exc: Exception | None) -> None:
        if self.in_use and not self.complete and self._error is None:
            if self._head_done and self._until_close and self._peer_ended:
                self.complete = True
            else:
                self._error = self._lost(exc)
        self._wake()
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    def _read_last_words(self) -> None:
        # A peer that answers early and closes while it is still being sent to resets the connection. asyncio stops
        # reading when a write fails, but what came before the reset, such as a 413, still lies in the socket.
        sock = self.get_extra_info("socket")
        try:
            while sock is not None and self._buffered <= HIGH_WATER and (data := os.read(sock.fileno(), HIGH_WATER)):
                self.data_received(data)
        except OSError:
            return

    def _lost(self, exc: Exception | None) -> HopError:
        kind, details = closed_early(
            received=self.received,
            head_done=self._head_done,
            reset=isinstance(exc, ConnectionError),
            reused=self.served > 1,
            expected=self._head.length,
            body_received=self.body_received,
        )
        error = HopError(kind, details, phase=self.phase, first_bytes=self.first_bytes)
        error.__cause__ = exc
        return error

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    # -- httptools' callbacks -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            self._surplus = True

    def on_status(self, status: bytes) -> None:
        if not self._surplus:
            self._head.reason += status  # it comes in pieces where packets end in it

    def on_header(self, name: bytes, value: bytes) -> None:
        if not (self._head_done or self._surplus):  # trailers are read and dropped (RFC 9110 section 6.5.1)
            self._head.headers.append((name, value))

    def _understand(self, head: ResponseHead) -> None:
        """Read from the header section how the body is framed."""
        for name, value in head.headers:
            special = _FRAMING_NAMES[name]
            if not special:
                continue
            if special == b"content-length":
                head.length = int(value)
            elif special == b"connection":
                head.connection += (value,)
            else:
                if head.chunked or value.strip().lower() != b"chunked":
                    words = f"transfer coding {value[:40].decode('latin-1')!r} is not understood"
                    self._unusable_because(ErrorType.HTTP_RESPONSE_TRANSFER_CODING, words)
                head.chunked = True

    def _check_sizes(self, head: ResponseHead) -> None:
        limits = self.limits
        total = 0
        if len(head.headers) > limits.headers:
            self._too_large(f"more than {limits.headers} response headers")
        for name, value in head.headers:
            size = len(name) + len(value)
            total += size + 4
            if size > limits.header:
                self._too_large(f"header {name[:40].decode('latin-1')} exceeds {limits.header} bytes", one=True)
        if total > limits.head:
            self._too_large(f"the response headers exceed {limits.head} bytes together")
        self._heads_size += total + _BARE_HEAD + len(head.reason)

    def on_headers_complete(self) -> None:
        if self._surplus or self._error is not None:
            return
        parser, head = self._parser, self._head
        head.status = parser.get_status_code()
        if self.received > self._harmless or len(head.headers) > self.limits.headers or head.status < 200:
            self._check_sizes(head)
        self._understand(head)
        wrong = self._wrong_status_line(head, parser.get_http_version())
        if wrong is not None:
            self._unusable_because(ErrorType.HTTP_PROTOCOL_ERROR, wrong)
            return
        if head.status < 200 and head.status != _SWITCHING_PROTOCOLS:
            self._interim_seen += 1
            if self._interim_seen > self.limits.interim:
                details = f"more than {self.limits.interim} interim responses"
                self._unusable_because(ErrorType.HTTP_PROTOCOL_ERROR, details)
            self._heads.append(head)
            return
        self._head_done = True
        self._until_close = not (head.chunked or head.length is not None)
        self._keep_alive = parser.should_keep_alive() and head.status != _SWITCHING_PROTOCOLS
        self._heads.append(head)
        if self._head_only:
            self._finish()

    def _wrong_status_line(self, head: ResponseHead, version: str) -> str | None:
        if version == "1.1" and head.reason in _PHRASES and 100 <= head.status <= 599 and self._start[:5] == b"HTTP/":
            return None
        if version != "1.1" and not _HTTP_1.fullmatch(version):
            return f"HTTP version {version} in the status line"
        if head.status < 100 or head.status > 599:
            # RFC 9110 section 15: 100 to 599; real proxies differ on the rest, none can cache or classify it.
            return f"status code {head.status} is none"
        if _CONTROL.search(head.reason):
            return "a control character in the reason phrase"
        if self._start.startswith((b"RTSP/", b"ICE/")):  # which llhttp reads as if they were HTTP
            return "not an HTTP response: it does not start with HTTP/"
        return None

    def on_body(self, body: bytes) -> None:
        if self._surplus or self.complete:
            self._surplus = True
            return
        self._chunks.append(body)
        self._buffered += len(body)
        self.body_received += len(body)

    def on_message_complete(self) -> None:
        if self._surplus:
            return
        if self._head_done:
            self._finish()
        else:
            self._head = ResponseHead()

    def _finish(self) -> None:
        if self.complete:
            return
        self.complete = True
        if self._head_only and (self._head.chunked or self._head.length):
            # llhttp waits for the body that a response to HEAD announces and never has.
            self._parser = self._new_parser()

    # -- what goes wrong ------------------------------------------------------------------------------

    def _unusable_because(self, kind: ErrorType, details: str) -> None:
        self._unusable = True
        self.fail(HopError(kind, details, phase=self.phase, first_bytes=self.first_bytes))

    def _too_large(self, details: str, *, one: bool = False) -> None:
        kinds = ErrorType.HTTP_RESPONSE_HEADER_SIZE, ErrorType.HTTP_RESPONSE_HEADER_SECTION_SIZE
        self._unusable_because(kinds[0] if one else kinds[1], details)

    def _parser_stopped(self, error: Exception) -> None:
        if self.complete:
            self._surplus = True
            return
        self._unusable_because(*diagnose(str(error), self._start, head_done=self._head_done))

    # -- upgrade --------------------------------------------------------------------------------------

    def _switched(self, rest: bytes) -> None:
        self._keep_alive = False
        if rest:
            self._chunks.append(rest)

    def become_tunnel(self, receive: Callable[[bytes], None]) -> tuple[asyncio.Transport, bytes]:
        """After a 101, hand every later byte to `receive`, and `b""` at the end.

        Returns:
            The transport, and what came behind the 101 already.

        Raises:
            HopError: the connection ended meanwhile, and nothing had come.
        """
        first = self.take()
        if self._transport is None or (self.closed and not first):
            raise self._lost(None)
        self._tunnel = receive
        if self.closed or self._peer_ended:
            self._loop.call_soon(receive, b"")
        return self._transport, first

    # -- end ------------------------------------------------------------------------------------------

    def release(self) -> None:
        """End the exchange's use of the connection; what it buffered is dropped."""
        self.in_use = False
        self._deadline = None

    def close(self) -> None:
        """Close now, dropping unsent bytes. Safe to call twice."""
        if self._transport is not None and not self.closed:
            self.closed = True
            self._transport.abort()

    def close_behind(self, within: float) -> None:
        """Close when what was written has been sent, or after `within` seconds."""
        if self._transport is not None and not self.closed:
            self.closed = True
            self._transport.close()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(within, self._transport.abort)

    def get_extra_info(self, name: str) -> Any:
        """The transport's extra information, as asyncio.BaseTransport.get_extra_info."""
        return None if self._transport is None else self._transport.get_extra_info(name)
