"""One request through one hop, top to bottom: here policies (which decide) and transport (which does) meet.

admit → pick an endpoint → ask the breaker → attempt → perhaps retry → relay, or answer for oneself.
"""

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING

from aiohttp import StreamReader
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.policies.breaker import Outcome, Permit, outcome_of
from badgateway_proxy.policies.retry import Retry
from badgateway_proxy.records import AttemptRecord, ExchangeRecord
from badgateway_proxy.reply import Reply
from badgateway_proxy.transport import headers
from badgateway_proxy.transport.attempt import Attempt
from badgateway_proxy.transport.client_connection import ClientConnection
from badgateway_proxy.transport.client_faults import check_framing, origin_form, unspeakable
from badgateway_proxy.transport.driving import in_task
from badgateway_proxy.transport.request_body import NO_BODY, RequestBody

if TYPE_CHECKING:
    from badgateway_proxy.hop import Hop
    from badgateway_proxy.policies.balancer import Endpoint

logger = logging.getLogger(__name__)

_SWITCHING_PROTOCOLS = 101
_REQUEST_ID = re.compile(rb"[!-~]{1,128}")


class Exchange:
    """One request, its attempts, and its one answer.

    Args:
        hop: whose policies decide.
        client: who asks.
        message: the request's head.
        content: where its body is read from.
    """

    __slots__ = (
        "_backoff", "_body", "_client", "_content", "_deadline", "_fields", "_hop", "_keep_alive", "_message",
        "_permit", "_record", "_reply", "_started", "_target", "_tried", "_upgrade",
    )  # fmt: skip

    def __init__(self, hop: "Hop", client: ClientConnection, message: RawRequestMessage, content: StreamReader) -> None:
        self._hop = hop
        self._client = client
        self._message = message
        self._content = content
        self._body: RequestBody = NO_BODY
        self._upgrade: bytes | None = None
        self._target = message.path
        self._tried: list[Endpoint] = []
        self._permit: Permit | None = None
        self._backoff = 0.0
        # After an upgrade that came to nothing, aiohttp's parser would read no further request.
        self._keep_alive = not (message.should_close or message.upgrade or hop.draining)
        self._started = time.monotonic()
        self._deadline = self._started + hop.deadlines.whole
        self._fields = headers.telling_fields(message.raw_headers)
        request_id = self._given_id() if self._fields else None
        if request_id is None:
            request_id = hop.new_request_id()
        self._record = ExchangeRecord(
            hop.name, hop.tier, request_id, time.time(), client.address, message.method, message.path
        )
        self._reply = Reply(hop, client, message, self._record)

    async def run(self) -> bool:
        """Serve the request and record it. Whatever happens, the client gets one answer or sees the end.

        Returns:
            Whether the client's connection may carry another request.
        """
        record = self._record
        try:
            self._admit()
            return await self._forward()
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
            record.duration = time.monotonic() - self._started
            self._hop.ended(record)

    # -- the way there ---------------------------------------------------------------------------------

    def _given_id(self) -> str | None:
        given = self._fields.get(b"x-request-id")
        return given[0].decode() if given and _REQUEST_ID.fullmatch(given[0]) else None

    def _admit(self) -> None:
        message, hop, fields = self._message, self._hop, self._fields
        version = message.version
        if version not in (HttpVersion11, HttpVersion10):
            raise unspeakable(f"{version.major}.{version.minor}")
        if fields or len(message.raw_headers) > hop.harmless_headers:
            limits = hop.limits
            check_framing(message, max_header=limits.request_header, max_headers=limits.request_headers_total)
        if not self._target.startswith("/"):
            self._target = origin_form(message)
        if fields and hop.is_in(fields.get(b"via", ())):
            details = f"Via already names {hop.config.name}: this request has been here before"
            raise HopError(ErrorType.PROXY_LOOP_DETECTED, details, phase=Phase.CLIENT)
        if message.upgrade and version == HttpVersion11:  # RFC 9110 section 7.8: ignored in HTTP/1.0
            self._upgrade = headers.upgrade_of(message.raw_headers)
        if self._content is not EMPTY_PAYLOAD:
            limit, within = hop.limits.request_body, hop.timeouts.client_body
            self._body = RequestBody(message, self._content, limit=limit, within=within)

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
            self._backoff = retry.delay
            await in_task()
            await asyncio.sleep(retry.delay)

    def _begin_attempt(self) -> Attempt:
        hop, record = self._hop, self._record
        endpoint = hop.balancer.pick(self._tried)
        begun = time.monotonic() if self._tried else self._started
        now = begun + hop.clock.offset
        permit = hop.breaker.try_acquire(now)
        record.breaker = hop.breaker.current
        if permit is None:
            retry_after = hop.breaker.retry_after(now)
            kind = ErrorType.DESTINATION_UNAVAILABLE
            raise HopError(kind, "circuit open", phase=Phase.CONNECT, retry_after=retry_after)
        self._permit = permit
        self._tried.append(endpoint)
        attempt = AttemptRecord(endpoint.text, begun - self._started)
        if self._backoff:
            attempt.backoff = self._backoff
        record.attempts.append(attempt)
        return Attempt(hop.loop, hop.pool, endpoint, hop.deadlines, self._deadline, attempt, begun)

    async def _try(self, attempt: Attempt, number: int) -> bool | Retry:
        """Make the attempt and relay its response, unless the retry policy would rather try again."""
        reply, body = self._reply, self._body
        if not attempt.reuse():
            await attempt.connect()
        head_out = self._request_head(body, attempt.endpoint.text)
        attempt.send(head_out, body, self._message.method, reply.ask_for_body)
        head = await attempt.final_head(self._upgrade, reply.interim)
        if head.status == _SWITCHING_PROTOCOLS:
            self._report(attempt, None)  # a tunnel may last, and must not hold a permit for so long
            await reply.switch_protocols(attempt, head)
            return False
        if head.status >= 500 and (retry := self._retry(number, attempt, None)) is not None:
            return retry
        keep_alive = reply.relay(attempt, head, keep_alive=self._keep_alive and (body is NO_BODY or not body.unread))
        if not attempt.connection.complete:
            await reply.relay_rest(attempt)
        return keep_alive

    def _request_head(self, body: RequestBody, next_hop: str) -> bytes:
        hop, message, fields = self._hop, self._message, self._fields
        absolute = self._target is not message.path
        small = body.small
        return headers.request_head(
            message.method,
            self._target,
            message.raw_headers,
            also_dropped=headers.named_by_connection(fields.get(b"connection", ())) if fields else headers.NO_NAMES,
            via=hop.via,
            request_id=self._reply.request_id,
            client=self._client.host,
            next_hop=next_hop,
            host=message.url.raw_authority if absolute else None,
            chunked=body.chunked and small is None,
            add_length=len(small) if body.chunked and small is not None else None,
            upgrade=self._upgrade,
        )

    # -- what the policies say -------------------------------------------------------------------------

    def _retry(self, number: int, attempt: Attempt, error: HopError | None) -> Retry | None:
        body, hop = self._body, self._hop
        decision = hop.retry.decide(
            attempt=number,
            method=self._message.method,
            error=None if error is None else error.error,
            status=attempt.record.status if error is None else None,
            phase=Phase(attempt.record.phase),
            request_replayable=body.small is not None or body.received == 0,
            head_sent=self._reply.head_sent,
            retry_after=None if error is not None else attempt.retry_after,
            rand=hop.random(),
        )
        if isinstance(decision, Retry) and time.monotonic() + decision.delay < self._deadline:
            return decision
        return None

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

    def _abandon(self, attempt: Attempt) -> None:
        attempt.cancel()
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
        endpoint = self._tried[-1].text if self._tried else None
        keep_alive = self._keep_alive and error.phase is not Phase.CLIENT and self._content.at_eof()
        try:
            reply.generate(error, endpoint=endpoint, keep_alive=keep_alive)
        except ConnectionError:
            record.client_gone = True
            return False
        return keep_alive
