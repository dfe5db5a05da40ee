"""One request through one hop, top to bottom: here policies (which decide) and transport (which does) meet.

admit → pick an endpoint → ask the breaker → attempt → perhaps retry → relay, or answer for oneself.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from aiohttp import StreamReader
from aiohttp.streams import EMPTY_PAYLOAD

from badgateway_proxy.admission import Admission, Arrival
from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.policies.breaker import Outcome, Permit, outcome_of
from badgateway_proxy.policies.retry import Retry, Stop
from badgateway_proxy.policies.retry_budget import RetryBudget
from badgateway_proxy.records import AttemptRecord, ExchangeRecord
from badgateway_proxy.reply import Reply
from badgateway_proxy.transport.attempt import Attempt
from badgateway_proxy.transport.client_connection import ClientConnection
from badgateway_proxy.transport.driving import Exchanging, in_task
from badgateway_proxy.transport.headers import NO_NAMES
from badgateway_proxy.transport.max_forwards import last_recipient
from badgateway_proxy.transport.request import Request
from badgateway_proxy.transport.request_body import NO_BODY, RequestBody, kept
from badgateway_proxy.transport.response_reader import ResponseHead
from badgateway_proxy.upstream_gate import UpstreamGate

if TYPE_CHECKING:
    from badgateway_proxy.hop import Hop
    from badgateway_proxy.policies.affinity import Affinity
    from badgateway_proxy.policies.balancer import EndpointState

logger = logging.getLogger(__name__)

_SWITCHING_PROTOCOLS = 101


class Exchange:
    """One request, its attempts, and its one answer.

    Args:
        hop: whose policies decide.
        client: who asks.
        request: what it asks for.
        content: where its body is read from.
    """

    __slots__ = (
        "_backoff", "_body", "_budget", "_client", "_content", "_deadline", "_gate", "_hop", "_keep_alive", "_permit",
        "_record", "_reply", "_request", "_retrying", "_started", "_tried",
    )  # fmt: skip

    #: What writes to the client.
    reply_class = Reply

    def __init__(self, hop: "Hop", client: ClientConnection, request: Request, content: StreamReader) -> None:
        self._hop = hop
        self._client = client
        self._request = request
        self._content = content
        self._body: RequestBody = NO_BODY
        self._tried: list[EndpointState] = []
        self._permit: Permit | None = None
        self._gate: UpstreamGate | None = None
        self._retrying = False
        self._backoff = 0.0
        self._budget: RetryBudget | None = None  # of which the exchange has leave for a retry
        self._keep_alive = request.keep_alive and not hop.draining
        self._started = time.monotonic()
        self._deadline = self._started + hop.deadlines.whole
        request_id = request.id or hop.new_request_id()
        self._record = ExchangeRecord(
            hop.name, hop.tier, request_id, time.time(), client.address, request.method, request.message.path
        )
        if request.session is not None:
            self._record.session = request.session
        if hop.tracer is not None:
            self._record.trace = hop.tracer.begin(request)
        self._reply = self.reply_class(hop, client, request, self._record)

    async def run(self) -> bool:
        """Serve the request and record it. Whatever happens, the client gets one answer or sees the end.

        Returns:
            Whether the client's connection may carry another request.
        """
        record = self._record
        try:
            self._admit()
            if self._hop.admission is not None:
                self._ask(self._hop.admission)
            return await self._answer()
        except HopError as error:
            return self._end(error)
        except (asyncio.CancelledError, ConnectionError) as gone:
            record.client_gone = record.status != _SWITCHING_PROTOCOLS  # where to leave is how it ends
            if isinstance(gone, asyncio.CancelledError):
                raise
            return False
        except Exception:  # a bug of ours is an answer too, and must not end the connection without one
            logger.exception("the hop failed", extra={"request_id": record.request_id})
            return self._end(HopError(ErrorType.PROXY_INTERNAL_ERROR, "the hop itself failed", phase=Phase.CLIENT))
        finally:
            if not record.request_bytes:
                record.request_bytes = self._body.received
            if self._hop.config.keep_request:
                seen = self._body is not NO_BODY or self._content is EMPTY_PAYLOAD  # else it was refused unseen
                record.request = kept(self._request.raw_headers, self._body.kept if seen else None)
            if self._budget is not None:
                self._budget.release()
            record.duration = time.monotonic() - self._started
            self._hop.ended(record)

    # -- the way there ---------------------------------------------------------------------------------

    def _admit(self) -> None:
        hop, request = self._hop, self._request
        if not request.admissible:
            limits = hop.limits
            request.admit(max_header=limits.request_header, max_headers=limits.request_headers_total)
        if request.fields:
            hop.loops.check(request.fields)
            if request.forwards_left == 0:
                raise last_recipient(request.method, request.message.path, request.raw_headers)
        if self._content is not EMPTY_PAYLOAD:
            limit, within = hop.limits.request_body, hop.timeouts.client_body
            keep = hop.config.keep_request
            self._body = RequestBody(request.message, self._content, limit=limit, within=within, keep=keep)

    def _ask(self, admission: Admission) -> None:
        hop = self._hop
        now = self._started + hop.clock.offset
        admission.ask(Arrival(self._request, self._client, hop.clock, now, self._reply, hop.config.name))

    def _answer(self) -> Exchanging:
        return self._onwards()

    def _onwards(self) -> Exchanging:
        gate = self._hop.gate
        return self._forward() if gate is None else self._through(gate)

    async def _through(self, gate: UpstreamGate) -> bool:
        """Forward once the way to the upstream is free."""
        record = self._record
        record.queued = await gate.enter(self._deadline)
        self._gate, in_flight = gate, gate.limits.active
        try:
            return await self._forward()
        finally:
            if self._retrying:
                gate.limits.end_retry()
            gate.leave(in_flight, record.attempts)

    async def _forward(self) -> bool:
        number = 0
        while True:
            number += 1
            attempt = self._begin_attempt()
            try:
                outcome = await self._try(attempt, number)
            except HopError as error:
                attempt.note_error(error)
                self._report(attempt, error)
                retry = self._retry(number, attempt, error)
                if retry is None:
                    raise
            except BaseException:  # the client left, or we have a bug: neither says anything about the endpoint
                self._abandon(attempt)
                raise
            else:
                self._report(attempt, None)
                if not isinstance(outcome, Retry):
                    return outcome
                retry = outcome
            finally:
                attempt.finish()
                self._tried[-1].active -= 1
            self._backoff = retry.delay
            await in_task()
            await asyncio.sleep(retry.delay)

    def _begin_attempt(self) -> Attempt:
        hop, record = self._hop, self._record
        begun = time.monotonic() if self._tried or record.queued else self._started
        now = begun + hop.clock.offset
        affinity = hop.affinity
        member = hop.endpoints.pick(self._tried, now) if affinity is None else self._affine(affinity, now)
        if member is None:
            raise HopError(
                ErrorType.DESTINATION_UNAVAILABLE,
                hop.endpoints.why_none(),
                phase=Phase.CONNECT,
                retry_after=hop.endpoints.retry_after(now),
            )
        permit = hop.breaker.try_acquire(now)
        record.breaker = hop.breaker.current
        if permit is None:
            retry_after = hop.breaker.retry_after(now)
            kind = ErrorType.DESTINATION_UNAVAILABLE
            raise HopError(kind, "circuit open", phase=Phase.CONNECT, retry_after=retry_after)
        self._permit = permit
        self._tried.append(member)
        member.active += 1
        endpoint = member.endpoint
        attempt = AttemptRecord(endpoint.text, begun - self._started)
        if self._backoff:
            attempt.backoff = self._backoff
        record.attempts.append(attempt)
        made = Attempt(hop.loop, hop.pool, endpoint, hop.deadlines, self._deadline, attempt, begun)
        if hop.per_try_timeout:
            made.until = begun + hop.per_try_timeout
        return made

    def _affine(self, affinity: "Affinity", now: float) -> "EndpointState | None":
        """The endpoint of those that this request belongs to; a client's, if its cookie names one."""
        hop, request = self._hop, self._request
        hop.endpoints.look(now)
        if not self._tried:
            home = affinity.home_of(request.raw_headers, hop.endpoints.available)
            if home is not None:
                return home
        key = affinity.key_of(self._client.host, request.target, request.raw_headers)
        return hop.endpoints.pick(self._tried, now, key)

    async def _try(self, attempt: Attempt, number: int) -> bool | Retry:
        """Make the attempt and relay its response, unless the retry policy would rather try again."""
        reply, body, request = self._reply, self._body, self._request
        if not attempt.reuse():
            await attempt.connect()
        head_out = self._request_head(body, attempt, number)
        attempt.send(head_out, body, request.method, reply.ask_for_body)
        head = await attempt.final_head(request.upgrade, reply.interim)
        if head.status == _SWITCHING_PROTOCOLS:
            self._report(attempt, None)  # a tunnel may last, and must not hold a permit for so long
            await reply.switch_protocols(attempt, head)
            return False
        if head.status >= self._hop.retry.least_status and (retry := self._retry(number, attempt, None)) is not None:
            return retry
        if self._hop.affinity is not None:
            reply.added += self._hop.affinity.cookie_for(self._tried[-1], request.raw_headers)
        return await self._relay(attempt, head)

    async def _relay(self, attempt: Attempt, head: ResponseHead) -> bool:
        reply, body = self._reply, self._body
        keep_alive = self._keep_alive and (body is NO_BODY or not body.unread)
        keep_alive = reply.relay(attempt, head, attempt.connection.take(), keep_alive=keep_alive)
        if not attempt.connection.complete:
            await reply.relay_rest(attempt)
        return keep_alive

    def _request_head(self, body: RequestBody, attempt: Attempt, number: int) -> bytes:
        small, trace = body.small, self._record.trace
        length = len(small) if body.chunked and small is not None else None
        before, behind = self._request.head(
            self._client.host,
            self._hop.via_1_0 if self._request.http_1_0 else self._hop.via,
            attempt.endpoint.text,
            scheme=self._hop.scheme,
            chunked=body.chunked and small is None,
            length=length,
            cdn_loop=self._hop.loops.cdn_id,
            replaced=NO_NAMES if trace is None else trace.replaced,
        )
        if trace is not None and self._hop.tracer is not None:
            behind = b"\r\ntraceparent: %b%b" % (self._hop.tracer.sent(trace, attempt.record), behind)
        if self._hop.retry.enabled:
            return b"%b%b\r\nX-Attempt-Count: %d%b" % (before, self._reply.request_id, number, behind)
        return before + self._reply.request_id + behind

    # -- what the policies say -------------------------------------------------------------------------

    def _retry(self, number: int, attempt: Attempt, error: HopError | None) -> Retry | None:
        body, hop = self._body, self._hop
        decision = hop.retry.decide(
            attempt=number,
            method=self._request.method,
            error=None if error is None else error.error,
            status=attempt.record.status if error is None else None,
            phase=Phase(attempt.record.phase),
            request_replayable=body.small is not None or body.received == 0,
            head_sent=self._reply.head_sent,
            retry_after=None if error is not None else attempt.retry_after,
            rand=hop.random(),
        )
        if isinstance(decision, Stop):
            reason = decision.reason
        elif time.monotonic() + decision.delay >= self._deadline:
            reason = "no time is left (timeouts.request)"
        elif not self._may_retry():
            reason = "too many retries are under way (upstream_limits.max_retries)"
        elif not self._within_budget():
            reason = "too many retries are under way (retry.budget)"
        else:
            return decision
        if hop.retry.enabled:
            self._record.not_retried = reason
        return None

    def _may_retry(self) -> bool:
        """Whether one more retry to the upstream may be under way; one exchange counts once, until its end."""
        if self._gate is not None and not self._retrying:
            self._retrying = self._gate.limits.begin_retry()
            return self._retrying
        return True

    def _within_budget(self) -> bool:
        if self._budget is not None:
            self._budget.release()
            self._budget = None
        budget = self._hop.retry_budget
        if budget is None:
            return True
        if not budget.try_acquire(self._hop.in_flight):
            return False
        self._budget = budget
        return True

    def _report(self, attempt: Attempt, error: HopError | None) -> None:
        permit, self._permit = self._permit, None
        if permit is None:
            return
        record, hop = attempt.record, self._hop
        if error is None:
            outcome = outcome_of(hop.breaker_settings, None, record.status)
        elif error.phase is Phase.CLIENT:
            outcome = Outcome.IGNORED
        else:
            outcome = outcome_of(hop.breaker_settings, error.error, None)
        now = attempt.mark + hop.clock.offset
        hop.breaker.report(permit, outcome, record.connect + record.send + record.wait, now)
        if hop.outlier is not None and outcome is not Outcome.IGNORED:
            hop.endpoints.report(record.endpoint, None if error is None else error.error, record.status, now)

    def _abandon(self, attempt: Attempt) -> None:
        attempt.give_up()
        permit, self._permit = self._permit, None
        if permit is not None:
            self._hop.breaker.report(permit, Outcome.IGNORED, 0.0, self._hop.clock.now())

    # -- the end ---------------------------------------------------------------------------------------

    def _end(self, error: HopError) -> bool:
        """Answer for oneself, or, once the head is out, let the client see that there is no more to come."""
        record, reply = self._record, self._reply
        record.error, record.details = error.error.value, error.details
        if reply.head_sent:
            reply.truncate()
            return False
        endpoint = self._tried[-1].endpoint.text if self._tried else None
        keep_alive = self._keep_alive and error.phase is not Phase.CLIENT and self._content.at_eof()
        try:
            reply.generate(error, endpoint=endpoint, keep_alive=keep_alive)
        except ConnectionError:
            record.client_gone = True
            return False
        return keep_alive
