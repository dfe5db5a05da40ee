"""One request through one hop, top to bottom: here policies (which decide) and transport (which does) meet.

admit → pick an endpoint → ask the breaker → attempt → perhaps retry → relay, or answer for oneself.
"""

import asyncio
import logging
import math
import re
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11

from badgateway_proxy import error_pages, headers
from badgateway_proxy.attempt import Attempt
from badgateway_proxy.breaker import Outcome, Permit, outcome_of
from badgateway_proxy.client_connection import CLOSE, KEEP_ALIVE, Answered, ClientConnection
from badgateway_proxy.client_faults import check_framing, client_error, unspeakable
from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.records import AttemptRecord, ExchangeRecord
from badgateway_proxy.request_body import RequestBody
from badgateway_proxy.retry import Retry
from badgateway_proxy.tunnel import Tunnel
from badgateway_proxy.upstream_connection import ResponseHead

if TYPE_CHECKING:
    from badgateway_proxy.balancer import Endpoint
    from badgateway_proxy.hop import Hop

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientGone(Exception):
    """The client left, or took nothing in for too long: there is nobody to answer."""


class Exchange:
    """One request, its attempts, and its one answer."""

    __slots__ = (
        "_backoff", "_body", "_client", "_deadline", "_head_sent", "_hop", "_loop", "_permit", "_record", "_request",
        "_started", "_target", "_tried", "_upgrade",
    )  # fmt: skip

    def __init__(self, hop: "Hop", request: web.BaseRequest) -> None:
        self._hop = hop
        self._request = request
        self._loop = hop.loop
        client = request.protocol
        assert isinstance(client, ClientConnection)
        self._client = client
        self._head_sent = False
        self._upgrade: bytes | None = None
        self._target = ""
        self._tried: list[Endpoint] = []
        self._permit: Permit | None = None
        self._body: RequestBody | None = None
        request_id = request.headers.get("X-Request-ID", "")
        if not request_id or not _REQUEST_ID.fullmatch(request_id):
            request_id = hop.new_request_id()
        self._started = hop.loop.time()
        self._deadline = self._started + hop.timeouts.request
        self._backoff = 0.0
        self._record = ExchangeRecord(
            hop=hop.config.name,
            tier=hop.config.tier,
            request_id=request_id,
            started=time.time(),
            client=client.address,
            method=request.method,
            target=request.raw_path,
        )

    async def run(self) -> Answered:
        """Serve the request and record it. Whatever happens, the client gets one answer or sees the end."""
        record = self._record
        try:
            return await self._serve()
        except HopError as error:
            return self._end(error)
        except (asyncio.CancelledError, ClientGone, ConnectionError) as gone:
            record.client_gone = True
            if isinstance(gone, asyncio.CancelledError):
                raise
            return CLOSE
        except Exception:  # what escaped would become an answer of aiohttp's own making
            logger.exception("the hop failed", extra={"request_id": record.request_id})
            failed = HopError(ErrorType.PROXY_INTERNAL_ERROR, "the hop itself failed", phase=Phase.CLIENT)
            return self._end(failed)
        finally:
            self._finish()

    async def refuse(self, error: HopError) -> Answered:
        """Answer, and record, a request that is none."""
        try:
            return self._end(error)
        except (ClientGone, ConnectionError):
            self._record.client_gone = True
            return CLOSE
        finally:
            self._finish()

    # -- the way there ---------------------------------------------------------------------------------

    async def _serve(self) -> Answered:
        self._admit()
        attempt_number = 0
        while True:
            attempt_number += 1
            attempt = self._begin_attempt()
            try:
                answered = await self._try(attempt, attempt_number)
            except HopError as error:
                attempt.note_error(error)
                self._report(attempt, error)
                retry = self._retry(attempt_number, attempt, error)
                if retry is None:
                    raise
            except (asyncio.CancelledError, ClientGone, ConnectionError):
                self._abandon(attempt)
                raise
            else:
                self._report(attempt, None)
                if isinstance(answered, Answered):
                    return answered
                retry = answered
            finally:
                attempt.finish()
            self._backoff = retry.delay
            await asyncio.sleep(retry.delay)

    def _admit(self) -> None:
        request, hop = self._request, self._hop
        version = request.version
        if version not in (HttpVersion11, HttpVersion10):
            raise unspeakable(f"{version.major}.{version.minor}")
        raw_headers = request.raw_headers
        limits = hop.limits
        check_framing(raw_headers, http_1_0=version == HttpVersion10, max_headers_bytes=limits.request_headers_total)
        self._target = self._origin_form(request)
        if "Via" in request.headers and hop.is_in(request.headers.getall("Via")):
            details = f"Via already names {hop.config.name}: this request has been here before"
            raise HopError(ErrorType.PROXY_LOOP_DETECTED, details, phase=Phase.CLIENT)
        if "Upgrade" in request.headers and "upgrade" in request.headers.get("Connection", "").lower():
            self._upgrade = request.headers["Upgrade"].encode()
        self._body = RequestBody(request, limit=limits.request_body, within=hop.timeouts.client_body)

    def _origin_form(self, request: web.BaseRequest) -> str:
        """The request target in origin form (RFC 9112 section 3.2)."""
        if request.method == "CONNECT":
            raise client_error(405, "CONNECT asks for a tunnel; this gateway opens none")
        target = request.raw_path
        if target.startswith("/") or (target == "*" and request.method == "OPTIONS"):
            return target
        if target.lower().startswith(("http://", "https://")):
            return request.rel_url.raw_path_qs or "/"
        raise client_error(400, "the request target is neither a path nor an absolute URL")

    def _begin_attempt(self) -> Attempt:
        hop = self._hop
        endpoint = hop.balancer.pick(self._tried)
        now = hop.clock.now()
        permit = hop.breaker.try_acquire(now)
        self._record.breaker = hop.breaker.current
        if permit is None:
            retry_after = hop.breaker.retry_after(now)
            details = "circuit open"
            raise HopError(ErrorType.DESTINATION_UNAVAILABLE, details, phase=Phase.CONNECT, retry_after=retry_after)
        self._permit = permit
        self._tried.append(endpoint)
        started = self._loop.time() - self._started
        record = AttemptRecord(endpoint=endpoint.text, started=started, backoff=self._backoff)
        self._record.attempts.append(record)
        return Attempt(self._loop, hop.pool, endpoint, hop.deadlines, self._deadline, record)

    async def _try(self, attempt: Attempt, number: int) -> Answered | Retry:
        """Make the attempt and relay its response, unless the retry policy would rather try again."""
        body = self._body
        assert body is not None
        await attempt.open()
        attempt.send(self._request_head(body), body, self._request.method, self._ask_for_body)
        head = await attempt.final_head(self._upgrade is not None, self._relay_interim)
        if head.status == 101:
            return await self._tunnel(attempt, head)
        if head.status >= 500 and (retry := self._retry(number, attempt, None)) is not None:
            return retry
        return await self._relay(attempt, head)

    def _request_head(self, body: RequestBody) -> bytes:
        hop, request = self._hop, self._request
        absolute = self._target != request.raw_path
        return headers.request_head(
            request.method,
            self._target,
            request.raw_headers,
            also_dropped=headers.named_by_connection(
                value.encode("utf-8", "surrogateescape") for value in request.headers.getall("Connection", ())
            ),
            via=hop.via,
            request_id=self._record.request_id.encode(),
            client=self._client.host,
            host=request.rel_url.raw_authority if absolute else None,
            chunked=body.chunked and body.small is None,
            add_length=len(body.small) if body.chunked and body.small is not None else None,
            upgrade=self._upgrade,
        )

    def _ask_for_body(self) -> None:
        if not self._head_sent and self._client.transport is not None:
            self._client.transport.write(_CONTINUE)

    # -- what the policies say -------------------------------------------------------------------------

    def _retry(self, number: int, attempt: Attempt, error: HopError | None) -> Retry | None:
        body = self._body
        assert body is not None
        decision = self._hop.retry.decide(
            attempt=number,
            method=self._request.method,
            error=None if error is None else error.error,
            status=attempt.record.status if error is None else None,
            phase=Phase(attempt.record.phase),
            request_replayable=body.small is not None or body.received == 0,
            head_sent=self._head_sent,
            retry_after=None,
            rand=self._hop.random(),
        )
        if isinstance(decision, Retry) and self._loop.time() + decision.delay < self._deadline:
            return decision
        return None

    def _report(self, attempt: Attempt, error: HopError | None) -> None:
        permit, self._permit = self._permit, None
        if permit is None:
            return
        record, hop = attempt.record, self._hop
        if error is None:
            outcome = outcome_of(hop.config.breaker, None, record.status)
        elif error.phase is Phase.CLIENT:
            outcome = Outcome.IGNORED
        else:
            outcome = outcome_of(hop.config.breaker, error.error, None)
        hop.breaker.report(permit, outcome, record.connect + record.send + record.wait, hop.clock.now())

    def _abandon(self, attempt: Attempt) -> None:
        # A client that leaves says nothing about the endpoint: the permit goes back unused.
        if attempt.connection is not None:
            attempt.connection.close()
        permit, self._permit = self._permit, None
        if permit is not None:
            self._hop.breaker.report(permit, Outcome.IGNORED, 0.0, self._hop.clock.now())

    # -- the way back ----------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        transport = self._client.transport
        if transport is None or transport.is_closing():
            raise ClientGone
        transport.write(data)

    async def _drained(self) -> None:
        """Wait while the client takes nothing, but not for ever."""
        try:
            async with asyncio.timeout(self._hop.timeouts.send):
                await self._request.writer.drain()
        except TimeoutError:
            if self._client.transport is not None:
                self._client.transport.abort()
            raise ClientGone from None

    def _relay_interim(self, head: ResponseHead) -> None:
        # 100 is between neighbours (RFC 9110 section 10.1.1); HTTP/1.0 clients know no 1xx at all.
        transport = self._client.transport
        if head.status != 100 and self._request.version == HttpVersion11 and transport is not None:
            transport.write(headers.interim_head(head.status, head.reason, head.headers))

    async def _relay(self, attempt: Attempt, head: ResponseHead) -> Answered:
        request, hop, record = self._request, self._hop, self._record
        connection, body = attempt.connection, self._body
        assert connection is not None
        assert body is not None
        keep_alive = request.keep_alive and not body.unread and not hop.draining
        has_body = request.method != "HEAD" and head.status not in (204, 304)
        chunked = has_body and head.length is None and request.version == HttpVersion11
        if has_body and head.length is None and not chunked:
            keep_alive = False
        record.status = head.status
        record.proxy_status = f'{hop.member_prefix}{attempt.endpoint.text}"; received-status={head.status}'
        out = headers.response_head(
            head.status,
            head.reason,
            head.headers,
            via=hop.via,
            request_id=record.request_id.encode(),
            proxy_status=record.proxy_status.encode(),
            also_dropped=headers.named_by_connection(head.connection) if head.connection else frozenset(),
            chunked=chunked,
            connection=self._connection_option(keep_alive),
        )
        data = connection.take()
        while True:
            complete = connection.complete
            record.response_bytes += len(data)
            out += _framed(data, chunked=chunked, last=complete)
            if out:
                self._head_sent = True
                self._write(out)
            if self._client.writing_paused:
                await self._drained()
            if complete:
                return KEEP_ALIVE if keep_alive else CLOSE
            data = await attempt.next_bytes()
            out = b""

    def _connection_option(self, keep_alive: bool) -> bytes | None:
        if not keep_alive:
            return b"close"
        return b"keep-alive" if self._request.version == HttpVersion10 else None

    async def _tunnel(self, attempt: Attempt, head: ResponseHead) -> Answered:
        record, hop, connection = self._record, self._hop, attempt.connection
        assert connection is not None
        record.status = head.status
        record.proxy_status = f'{hop.member_prefix}{attempt.endpoint.text}"; received-status=101'
        protocol = next((value for name, value in head.headers if name.lower() == b"upgrade"), self._upgrade)
        out = headers.response_head(
            head.status,
            head.reason,
            head.headers,
            via=hop.via,
            request_id=record.request_id.encode(),
            proxy_status=record.proxy_status.encode(),
            also_dropped=headers.named_by_connection(head.connection),
            upgrade=protocol,
        )
        self._head_sent = True
        self._write(out)
        tunnel = Tunnel(self._client, connection, hop.timeouts.client_idle)
        try:
            await tunnel.run()
        finally:
            record.response_bytes, record.request_bytes = tunnel.to_client_bytes, tunnel.to_upstream_bytes
            connection.close()
        return CLOSE

    def _end(self, error: HopError) -> Answered:
        """Answer for oneself, or, once the head is out, let the client see that there is no more to come."""
        record = self._record
        record.error, record.details = error.error, error.details
        if self._head_sent:
            record.truncated = True
            if self._request.version == HttpVersion10 and self._client.transport is not None:
                # Without length or chunks an orderly end would look like a complete response.
                self._client.transport.abort()
            return CLOSE
        return self._answer(error)

    def _answer(self, error: HopError) -> Answered:
        record, request, hop = self._record, self._request, self._hop
        status = hop.profile.status_for(error.error, error.status)
        record.status, record.generated, record.retry_after = status, True, error.retry_after
        endpoint = self._tried[-1].text if self._tried and error.phase is not Phase.CLIENT else None
        record.proxy_status = hop.error_member(error, endpoint=endpoint, status=status)
        body = self._body
        unread = (not request.content.at_eof()) if body is None else body.unread
        keep_alive = request.keep_alive and not unread and error.phase is not Phase.CLIENT and not hop.draining
        content_type, content = error_pages.render(
            error.error,
            status,
            hop=record.hop,
            tier=record.tier,
            request_id=record.request_id,
            details=error.details,
            accept=request.headers.get("Accept"),
            retry_after=error.retry_after,
            first_bytes=error.first_bytes,
            method=request.method,
            debug=hop.config.debug,
        )
        fields = [(b"Content-Type", content_type), (b"Content-Length", b"%d" % len(content))]
        fields += [(b"Cache-Control", b"no-store"), (b"Date", formatdate(usegmt=True).encode())]
        if error.retry_after is not None:
            fields.append((b"Retry-After", b"%d" % max(1, math.ceil(error.retry_after))))
        head = headers.own_head(
            status,
            fields,
            via=hop.via,
            request_id=record.request_id.encode(),
            proxy_status=record.proxy_status.encode(),
            connection=self._connection_option(keep_alive),
        )
        self._write(head if request.method == "HEAD" else head + content)
        record.response_bytes = 0 if request.method == "HEAD" else len(content)
        return KEEP_ALIVE if keep_alive else CLOSE

    def _finish(self) -> None:
        record = self._record
        if self._body is not None and not record.request_bytes:
            record.request_bytes = self._body.received
        record.duration = self._loop.time() - self._started
        self._hop.recorder.add(record)


def _framed(data: bytes, *, chunked: bool, last: bool) -> bytes:
    """Body bytes as they go out (RFC 9112 section 7.1)."""
    if not chunked:
        return data
    framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return framed + b"0\r\n\r\n" if last else framed
