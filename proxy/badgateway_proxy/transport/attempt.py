"""One attempt: connect, send, wait for the head, each within its own deadline.

Does the I/O that the exchange asks for and notes in the attempt's record what happened when. What goes wrong
comes out as the `HopError` that the pool or the connection classified, its phase noted.
"""

import asyncio
from collections.abc import Callable
from copy import copy
from time import monotonic

from badgateway_proxy.configuration.settings import TimeoutSettings
from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.policies.balancer import Endpoint
from badgateway_proxy.records import AttemptRecord
from badgateway_proxy.transport.headers import retry_after_of, upgrade_of
from badgateway_proxy.transport.pool import Pool
from badgateway_proxy.transport.request_body import RequestBody
from badgateway_proxy.transport.response_reader import ResponseHead
from badgateway_proxy.transport.upstream_connection import UpstreamConnection

_SWITCHING_PROTOCOLS = 101
#: Statuses with which Retry-After says when to ask again (RFC 9110 section 10.2.3, RFC 6585 section 4).
_ASK_LATER = (429, 503)
_NEVER = float("inf")

# Looking up an enum's member takes as long as a call.
_WAIT, _RECEIVE = Phase.WAIT, Phase.RECEIVE
_LATE = ErrorType.HTTP_RESPONSE_TIMEOUT


class Deadlines:
    """A hop's deadlines for an attempt, with the words that passing each means, made once."""

    __slots__ = (
        "between_bytes",
        "connect",
        "first_byte",
        "head_late",
        "send",
        "silent",
        "stuck",
        "try_late",
        "whole",
        "whole_late",
    )

    def __init__(self, timeouts: TimeoutSettings, per_try: float = 0.0) -> None:
        self.connect = timeouts.connect
        self.send = timeouts.send
        self.first_byte = timeouts.first_byte
        self.between_bytes = timeouts.between_bytes
        self.whole = timeouts.request
        self.stuck = f"the peer took in no more of the request for {timeouts.send:g} s"
        self.head_late = f"no whole response head within {timeouts.first_byte:g} s"
        self.silent = f"no more of the body for {timeouts.between_bytes:g} s"
        self.try_late = f"no whole response head within {per_try:g} s of the attempt's beginning"
        self.whole_late = f"the exchange was not over within {timeouts.request:g} s"


class Attempt:
    """One try of an exchange against one endpoint.

    Args:
        loop: the running event loop.
        pool: where connections come from.
        endpoint: where to.
        deadlines: of each phase.
        whole: when the whole exchange must be over: absolute time of the loop's clock, in seconds.
        record: filled in as things happen.
        now: the time, by the loop's clock.
    """

    __slots__ = (
        "_deadlines",
        "_loop",
        "_opened",
        "_pool",
        "_sender",
        "_whole",
        "connection",
        "endpoint",
        "mark",
        "record",
        "retry_after",
        "until",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: Pool,
        endpoint: Endpoint,
        deadlines: Deadlines,
        whole: float,
        record: AttemptRecord,
        now: float,
    ) -> None:
        self._loop = loop
        self._pool = pool
        self._deadlines = deadlines
        self._whole = whole
        #: When the phase before the current one ended, by the loop's clock.
        self.mark = now
        self._sender: asyncio.Task[None] | None = None
        self._opened = False
        self.connection: UpstreamConnection
        self.endpoint = endpoint
        #: Seconds that the endpoint asks to wait before the next attempt, None if it did not.
        self.retry_after: float | None = None
        self.record = record
        #: When there must be a response's head, whatever phase it is in; by the loop's clock.
        self.until = _NEVER

    def reuse(self) -> bool:
        """Take an idle connection, if there is one."""
        connection = self._pool.idle_connection(self.endpoint, self.mark)
        if connection is None:
            return False
        self.connection, self._opened = connection, True
        self.record.reused = True
        self.record.local = connection.local
        return True

    async def connect(self) -> None:
        """Open a connection.

        Raises:
            HopError: see `Pool.connect`.
        """
        deadline = min(self.mark + self._deadlines.connect, self._whole, self.until)
        self.connection = connection = await self._pool.connect(self.endpoint, deadline)
        self._opened = True
        self.record.connect = self._lap()
        self.record.local = connection.local

    def send(self, head: bytes, body: RequestBody, method: str, ask_for_body: Callable[[], None]) -> None:
        """Send the request: at once if its body is at hand, else while waiting for the response.

        Args:
            head: the request's head.
            body: the request's body.
            method: the request's method.
            ask_for_body: writes `100 Continue` to a client that waits for it.
        """
        connection = self.connection
        record = self.record
        if body.small is not None:
            connection.send_head(head + body.small if body.small else head, method)
            now = monotonic()
            record.send = now - self.mark
            self.mark = now
            self._await_head(connection)
            return
        record.phase = Phase.SEND
        connection.send_head(head, method)
        self._sender = self._loop.create_task(self._send_body(connection, body, ask_for_body))

    async def _send_body(
        self, connection: UpstreamConnection, body: RequestBody, ask_for_body: Callable[[], None]
    ) -> None:
        try:
            if body.expects_continue:
                body.expects_continue = False
                ask_for_body()
            while True:
                if not connection.head_done:
                    connection.expect_nothing()  # of the endpoint: it is the client's turn
                data = await body.read(self._whole)
                if not data:
                    break
                if not connection.head_done:
                    late = monotonic() + self._deadlines.send
                    self._limit(connection, late, ErrorType.CONNECTION_WRITE_TIMEOUT, self._deadlines.stuck)
                await connection.send_body(b"%x\r\n%b\r\n" % (len(data), data) if body.chunked else data)
            if body.chunked:
                await connection.send_body(b"0\r\n\r\n")
        except HopError as error:
            connection.fail(error)
            return
        except ConnectionError:
            return  # the client left, which ends the exchange itself, too
        if not connection.head_done:
            self.record.send = self._lap()
            self._await_head(connection)

    def _await_head(self, connection: UpstreamConnection) -> None:
        self.record.phase = connection.phase = _WAIT
        deadlines = self._deadlines
        late = self.mark + deadlines.first_byte
        if self.until < late and self.until < self._whole:
            connection.expect_within(self.until, _LATE, deadlines.try_late)
        elif late <= self._whole:
            connection.expect_within(late, _LATE, deadlines.head_late)
        else:
            connection.expect_within(self._whole, _LATE, deadlines.whole_late)

    def _limit(self, connection: UpstreamConnection, deadline: float, error: ErrorType, words: str) -> None:
        if deadline > self._whole:
            connection.expect_within(self._whole, ErrorType.HTTP_RESPONSE_TIMEOUT, self._deadlines.whole_late)
        else:
            connection.expect_within(deadline, error, words)

    async def final_head(self, upgrade: bytes | None, on_interim: Callable[[ResponseHead], None]) -> ResponseHead:
        """Wait for the final response head, handing interim ones on.

        Args:
            upgrade: the protocols that the client asked to switch to; a 101 to anything else is an error.
            on_interim: called with each 1xx head.

        Raises:
            HopError: what came instead.
        """
        connection = self.connection
        while True:
            head = connection.next_head()
            if head is None:
                await connection.changed
                continue
            if head.status >= 200:
                break
            if head.status == _SWITCHING_PROTOCOLS:
                self._check_switch(head, upgrade)
                break
            on_interim(head)
        record = self.record
        now = monotonic()
        record.wait = now - self.mark
        self.mark = now
        record.status = head.status
        if head.status in _ASK_LATER:
            self.retry_after = retry_after_of(head.headers)
        record.phase = connection.phase = _RECEIVE
        if not connection.complete:
            connection.expect_nothing()
        return head

    def _check_switch(self, head: ResponseHead, asked: bytes | None) -> None:
        """RFC 9110 section 15.2.2: a 101 switches to a protocol that was asked for, and says to which."""
        connection, protocol = self.connection, upgrade_of(head.headers)
        if asked is None:
            kind, details = ErrorType.HTTP_PROTOCOL_ERROR, "the peer switched protocols (101), which nobody asked for"
        elif protocol is None:
            kind, details = ErrorType.HTTP_UPGRADE_FAILED, "the peer's 101 does not say to which protocol it switched"
        elif protocol.strip().lower() not in {each.strip() for each in asked.lower().split(b",")}:
            kind, details = ErrorType.HTTP_UPGRADE_FAILED, "the peer switched to a protocol that was not asked for"
        else:
            return
        raise HopError(kind, details, phase=connection.phase, first_bytes=connection.first_bytes)

    async def next_bytes(self) -> bytes:
        """Wait for more of the body, `b""` at its end.

        Raises:
            HopError: why it will never be complete.
        """
        connection = self.connection
        deadlines, now = self._deadlines, monotonic()
        if now > self._whole:
            raise HopError(ErrorType.HTTP_RESPONSE_TIMEOUT, deadlines.whole_late, phase=connection.phase)
        late = now + deadlines.between_bytes
        self._limit(connection, late, ErrorType.CONNECTION_READ_TIMEOUT, deadlines.silent)
        return await connection.read()

    def _lap(self) -> float:
        now = monotonic()
        mark, self.mark = self.mark, now
        return now - mark

    def note_error(self, error: HopError) -> None:
        """Note in the record what ended the attempt, and how long its last phase had gone on."""
        record = self.record
        record.error = error.error
        record.details = error.details
        if error.first_bytes:
            record.first_bytes = error.first_bytes
        self._note_phase()

    def _note_phase(self) -> None:
        """Note in the record how long the attempt's last phase, in which it ends, had gone on."""
        record = self.record
        took = self._lap()
        match record.phase:
            case Phase.CONNECT:
                record.connect = took
            case Phase.SEND:
                record.send = took
            case Phase.WAIT:
                record.wait = took
            case _:
                record.receive = took

    def hand_over(self) -> "Attempt":
        """Let somebody else read the rest and `finish`: this one's end does nothing to the connection any more."""
        other = copy(self)
        self._opened = False
        return other

    def give_up(self) -> None:
        """Nobody waits for the attempt any more, wherever it is: note how far it came, and cancel it."""
        if self.record.phase is not _RECEIVE:  # which `finish` notes
            self._note_phase()
        self.cancel()

    def cancel(self) -> None:
        """Give up on the attempt at once: what the endpoint still sends is of no use to anybody."""
        if self._opened:
            self.connection.close()

    def finish(self) -> None:
        """End the attempt, whatever became of it: stop sending, keep the connection or close it."""
        if not self._opened:
            return
        connection, record, sender = self.connection, self.record, self._sender
        if record.phase is _RECEIVE and record.error is None:
            record.receive = self._lap()
        if sender is not None and not sender.done():
            sender.cancel()
            connection.close()
        self._pool.give_back(connection, self.endpoint, self.mark)
