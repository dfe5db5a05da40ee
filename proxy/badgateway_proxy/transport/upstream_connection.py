"""One connection to an endpoint: sends requests, reads responses within deadlines, and says exactly what went wrong.

Transport only: it decides nothing about retries, statuses or pooling. Every failure comes out as one
`HopError` that carries the RFC 9209 error type, the phase, and the first bytes that the peer sent.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from typing import Any, cast

from badgateway_proxy.errors import ErrorType, HopError
from badgateway_proxy.transport.diagnosis import closed_early
from badgateway_proxy.transport.driving import Change
from badgateway_proxy.transport.repeated import Repeated
from badgateway_proxy.transport.response_reader import ResponseHead, ResponseLimits, ResponseReader
from badgateway_proxy.transport.tls_diagnosis import diagnose_tls

#: Bytes of body held for a slow reader before reading from the peer pauses.
HIGH_WATER = 64 * 1024


class UpstreamConnection(ResponseReader, asyncio.Protocol):
    """A keep-alive HTTP/1.1 connection of which one exchange at a time has the use.

    In order: `send_head`, any `send_body`, then `next_head` (waiting on `changed`) until a final status, then `read`
    until it returns `b""`. `reusable` says afterwards whether the connection may serve another request.
    Deadlines are absolute times of the event loop's clock; `expect_within` sets the one in force.
    """

    __slots__ = (
        "_deadline", "_deadline_error", "_loop", "_on_lost", "_peer_ended", "_reading_paused", "_timer", "_timer_at",
        "_transport", "_tunnel", "_unasked", "_write_waiter", "_writing_paused", "changed", "closed", "idle_since",
        "in_use", "local", "served",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: ResponseLimits,
        on_lost: Callable[["UpstreamConnection"], None],
        repeated: Repeated[ResponseHead] | None = None,
    ) -> None:
        super().__init__(limits, Repeated() if repeated is None else repeated)
        self._loop = loop
        self._on_lost = on_lost
        #: To await until something has happened: bytes came, a deadline passed, the connection ended.
        self.changed = Change(loop)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline: float | None = None
        self._deadline_error: tuple[ErrorType, str] = (ErrorType.CONNECTION_READ_TIMEOUT, "")
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

    # -- one exchange ---------------------------------------------------------------------------------

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
            await self.changed
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
        # A timer that fires too early looks again; so a pooled connection arms one about once a deadline,
        # not once a request.
        if self._timer is None or self._timer_at > deadline:
            self._arm(deadline)

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline is None or self.closed:
            return
        if time.monotonic() < self._deadline:
            self._arm(self._deadline)
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
        self._note(error)
        self.changed.happened()
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
        self._feed(data)
        if self._buffered > HIGH_WATER and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            if not self._transport.is_closing():
                self._transport.pause_reading()
        self.changed.happened_now()

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
        self.changed.happened()
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    def _read_last_words(self) -> None:
        # A peer that answers early and closes while it is still being sent to resets the connection. asyncio stops
        # reading when a write fails, but what came before the reset, such as a 413, still lies in the socket.
        if self.get_extra_info("ssl_object") is not None:
            return  # what lies there is encrypted
        sock = self.get_extra_info("socket")
        try:
            while sock is not None and self._buffered <= HIGH_WATER and (data := os.read(sock.fileno(), HIGH_WATER)):
                if self._tunnel is None:
                    self._feed(data)
                else:
                    self._tunnel(data)
        except OSError:
            return

    def _lost(self, exc: Exception | None) -> HopError:
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
            failure = diagnose_tls(exc)
            return HopError(failure.error, failure.details, phase=self.phase, parameters=failure.parameters)
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

    # -- upgrade --------------------------------------------------------------------------------------

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
