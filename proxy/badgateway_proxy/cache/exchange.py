"""An exchange through a hop that has a cache: answered from the store, or by the origin and then stored.

look up → serve, or wait for who fetches it already, or fetch → store and relay, or serve what is stored after all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from aiohttp.streams import EMPTY_PAYLOAD

from badgateway_proxy.cache.asked import Asked
from badgateway_proxy.cache.body import Body
from badgateway_proxy.cache.cache import Cache
from badgateway_proxy.cache.filling import fill
from badgateway_proxy.cache.flights import Flight, Landing
from badgateway_proxy.cache.nobody import Nobody
from badgateway_proxy.cache.reply import CachingReply
from badgateway_proxy.cache.requests import unconditional, with_conditions
from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.exchange import Exchange
from badgateway_proxy.policies.caching import cache_status
from badgateway_proxy.policies.caching.cache_status import CacheResult
from badgateway_proxy.policies.caching.directives import Directives
from badgateway_proxy.policies.caching.fields import values_of
from badgateway_proxy.policies.caching.freshness import FAILURES, Freshness, Moment, Use, judge, may_stand_in
from badgateway_proxy.policies.caching.invalidation import invalidated
from badgateway_proxy.policies.caching.validation import confirms
from badgateway_proxy.policies.caching.vary import matches
from badgateway_proxy.transport.attempt import Attempt
from badgateway_proxy.transport.driving import in_task
from badgateway_proxy.transport.request_body import NO_BODY
from badgateway_proxy.transport.response_reader import ResponseHead

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from badgateway_proxy.admission import Admission
    from badgateway_proxy.hop import Hop
    from badgateway_proxy.transport.client_connection import ClientConnection
    from badgateway_proxy.transport.request import Request

_NOT_MODIFIED = 304


class _OtherVersionError(Exception):
    """A 304 was about another version than the stored one: the request must be made again, without conditions."""


class CachingExchange(Exchange):
    """One request, through a hop's cache. Args as for `Exchange`."""

    __slots__ = ("_asked", "_cache", "_flight", "_received", "_refreshing", "_stored", "_validating", "_why")

    reply_class = CachingReply

    def __init__(self, hop: Hop, client: ClientConnection, request: Request, content: StreamReader) -> None:
        super().__init__(hop, client, request, content)
        assert hop.cache is not None
        self._cache: Cache = hop.cache
        #: What is stored for the request and cannot be served as it is: it is asked about, or stands in for an error.
        self._stored: Stored | None = None
        self._flight: Flight | None = None
        #: Whether the origin is asked about what is stored: by conditions that it answers with 304.
        self._validating = False
        #: Whether this is nobody's request, made for the store alone.
        self._refreshing = False
        #: The status that the next hop answered with.
        self._received: int | None = None
        #: Why it went on, in RFC 9211's words.
        self._why = "uri-miss"
        self._asked: Asked

    # -- from the store, or not ------------------------------------------------------------------------

    def _ask(self, admission: Admission) -> None:
        if not self._refreshing:  # whoever was served meanwhile has been admitted already
            super()._ask(admission)

    async def _answer(self) -> bool:
        request, cache = self._request, self._cache
        asked = request.asked
        if asked is None:
            asked = request.asked = Asked(request, obey_clients=cache.settings.obey_clients)
        self._asked = asked
        now = self._started + self._hop.clock.offset
        stored = cache.find(asked)
        if self._refreshing:
            return await self._fetch()
        if stored is not None and asked.plain and stored.until > now and self._body is NO_BODY:
            return await self._serve(stored, CacheResult.HIT, now)
        if not asked.served or self._body is not NO_BODY or asked.directives.no_store:
            self._why = "bypass" if asked.method in ("GET", "HEAD") else "method"
            self._record.cache = CacheResult.BYPASS
            return await self._onwards()
        if stored is not None:
            use = judge(stored.fresh, asked.directives, now)
            if use is Use.WHILE_REVALIDATING:
                self._refresh_behind(stored)
            if use is not Use.VALIDATE:
                return await self._serve(stored, CacheResult.HIT if use is Use.FRESH else CacheResult.STALE, now)
            self._stored, self._why = stored, "request" if stored.until > now else "stale"
        elif cache.store.variants(asked.resource):
            self._why = "vary-miss"
        if asked.directives.only_if_cached:
            details = "only-if-cached, and nothing that is stored may be used"
            raise HopError(ErrorType.PROXY_INTERNAL_RESPONSE, details, phase=Phase.CONNECT, status=504)
        return await self._fetch()

    async def _fetch(self) -> bool:
        """Get it from the origin, or from whoever is getting it already."""
        cache, asked, stored = self._cache, self._asked, self._stored
        self._record.cache = CacheResult.MISS if stored is None else CacheResult.EXPIRED
        key = cache.common(asked, self._started + self._hop.clock.offset)
        while key is not None and not self._refreshing and (other := cache.flights.find(key)) is not None:
            await in_task()
            landing = await other.landed()
            if landing.left:
                continue
            if self._is_for_us(landing):
                return await self._serve_landing(landing)
            key = None  # its answer is its own, and so will ours be
        request = self._request
        if stored is not None and (conditional := with_conditions(request, stored.fields)) is not None:
            self._request, self._validating = conditional, True
        self._flight = flight = cache.flights.begin(asked.resource, key)
        try:
            return await self._onwards()
        except _OtherVersionError:
            cache.flights.end(flight, Landing(left=True))
            self._stored, self._validating, self._request = None, False, request
            return await self._fetch()
        except HopError as error:
            if self._reply.head_sent:
                raise
            cache.flights.end(flight, Landing(error=error))
            if not self._stands_in():
                raise
            return await self._stand_in(error)
        finally:
            cache.flights.end(flight, Landing(left=True))

    def _is_for_us(self, landing: Landing) -> bool:
        stored = landing.stored
        if stored is None:
            return landing.error is not None or (landing.failed and self._stands_in())
        fits = matches(stored.selecting, self._asked.fields) and not stored.body.dropped
        return fits and judge(stored.fresh, self._asked.directives, self._hop.clock.now()) is Use.FRESH

    async def _serve_landing(self, landing: Landing) -> bool:
        """Answer with what another request brought."""
        error = landing.error
        if landing.stored is not None:
            return await self._serve(landing.stored, CacheResult.COLLAPSED, self._hop.clock.now())
        if self._stands_in():
            return await self._stand_in(error)
        assert error is not None
        self._record.cache = CacheResult.COLLAPSED
        raise error.again() from error

    def _refresh_behind(self, stored: Stored) -> None:
        """Have it fetched anew while it is still served (RFC 5861 section 3); once at a time."""
        if stored.refreshing:
            return
        stored.refreshing = True
        hop, client = self._hop, cast("ClientConnection", Nobody(self._client))
        exchange = type(self)(hop, client, unconditional(self._request), EMPTY_PAYLOAD)
        exchange._stored, exchange._refreshing, exchange._why = stored, True, "stale"
        hop.serve_behind(_refresh(exchange, stored))

    # -- serving ---------------------------------------------------------------------------------------

    async def _serve(self, stored: Stored, result: CacheResult, now: float, proxy_status: bytes = b"") -> bool:
        """Serve what is stored.

        Args:
            stored: it.
            result: how it comes that it may be served.
            now: by the policies' clock.
            proxy_status: the members of Proxy-Status, where somebody was asked.
        """
        record, reply = self._record, cast(CachingReply, self._reply)
        if result is CacheResult.HIT and not stored.body.complete:
            result = CacheResult.COLLAPSED
        member = self._member(result, stored.fresh.ttl(now), asked_for=bool(proxy_status))
        record.cache, record.cache_status = result, member.decode()
        self._cache.store.use(stored)
        keep_alive = self._keep_alive
        reader = reply.from_store(stored, self._asked, now, member, proxy_status, keep_alive=keep_alive)
        if reader is not None:
            await reply.relay_from(reader)
        return keep_alive and not reply.ends_with_connection

    def _member(self, result: CacheResult, ttl: float, *, asked_for: bool) -> bytes:
        name = self._hop.token
        if result is CacheResult.HIT or (result is CacheResult.STALE and not asked_for):
            return cache_status.hit(name, ttl)
        detail = "stale-if-error" if result is CacheResult.STALE else ""
        collapsed = result is CacheResult.COLLAPSED
        return cache_status.forwarded(
            name, self._why, status=self._received, ttl=ttl, collapsed=collapsed, detail=detail
        )

    def _stands_in(self) -> bool:
        """Whether what is stored may be served in place of an error (RFC 5861 section 4)."""
        stored = self._stored
        if stored is None or not stored.body.complete:
            return False
        return may_stand_in(stored.fresh, self._asked.directives, self._hop.clock.now())

    async def _stand_in(self, error: HopError | None, received: bytes = b"") -> bool:
        """Serve what is stored in place of an error that happened here, or was received."""
        assert self._stored is not None
        if error is not None:
            endpoint = self._tried[-1].endpoint.text if self._tried else None
            self._record.proxy_status = self._hop.error_member(error, endpoint=endpoint, status=502)
            received = self._record.proxy_status.encode()
        return await self._serve(self._stored, CacheResult.STALE, self._hop.clock.now(), received or self._hop.token)

    # -- what the origin answered ----------------------------------------------------------------------

    async def _relay(self, attempt: Attempt, head: ResponseHead) -> bool:
        asked, cache, flight, stored = self._asked, self._cache, self._flight, self._stored
        self._received = head.status
        if flight is None:
            cache.invalidate(invalidated(asked.method, asked.resource, head.status, head.headers))
            return await self._pass_on(attempt, head)
        took = attempt.record.connect + attempt.record.send + attempt.record.wait
        moment = Moment(took, time.time(), attempt.mark + self._hop.clock.offset)
        if head.status == _NOT_MODIFIED and self._validating:
            return await self._confirmed(attempt, head, moment)
        stands_in = head.status in FAILURES and self._stands_in()
        if stands_in and not self._refreshing:
            cache.flights.end(flight, Landing(failed=True))
            if not attempt.connection.complete:
                attempt.cancel()  # nobody wants the rest of it
            return await self._stand_in(None, self._members(attempt, head))
        if asked.method == "HEAD" and stored is not None:
            cache.learn_from_head(stored, head, moment)
        fresh, said, reason = cache.consider(asked, head, moment)
        if reason is None and not (flight.doomed or stands_in):
            return await self._keep(attempt, head, fresh, said, moment)
        if head.status not in FAILURES:
            cache.stay_alone(flight, moment.now)
        cache.flights.end(flight, Landing(failed=head.status in FAILURES))
        return await self._pass_on(attempt, head)

    async def _confirmed(self, attempt: Attempt, head: ResponseHead, moment: Moment) -> bool:
        """What is stored still holds, as a 304 says."""
        stored, flight = self._stored, self._flight
        assert stored is not None
        assert flight is not None
        if not confirms(head.headers, stored.fields):
            self._cache.store.remove(stored)
            raise _OtherVersionError
        self._cache.renew(stored, head, moment)
        self._cache.flights.end(flight, Landing(stored=stored))
        return await self._serve(stored, CacheResult.REVALIDATED, moment.now, self._members(attempt, head))

    async def _keep(
        self, attempt: Attempt, head: ResponseHead, fresh: Freshness, said: Directives, moment: Moment
    ) -> bool:
        """Store a response while it is relayed. The store takes it at the endpoint's pace, the client at its own."""
        connection, flight, reader = attempt.connection, self._flight, None
        assert flight is not None
        first = connection.take()
        body = Body(first, complete=connection.complete)
        stored = self._cache.keep(self._asked, head, said, fresh, body, moment.wall)
        self._cache.flights.end(flight, Landing(stored=stored))
        if not body.complete:
            reader = body.reader(len(first))
            self._hop.spawn(fill(self._cache, stored, attempt.hand_over()))
        reply = cast(CachingReply, self._reply)
        try:
            keep_alive = reply.relay(attempt, self._labelled(head, stored=True), first, keep_alive=self._keep_alive)
            if reader is not None:
                await reply.relay_from(reader)
        finally:
            if reader is not None:
                reader.close()
        return keep_alive

    async def _pass_on(self, attempt: Attempt, head: ResponseHead) -> bool:
        return await super()._relay(attempt, self._labelled(head, stored=False))

    def _labelled(self, head: ResponseHead, *, stored: bool) -> ResponseHead:
        """The same head with this cache's member in Cache-Status; heads may be shared, and so are not changed."""
        member = cache_status.forwarded(self._hop.token, self._why, status=head.status, stored=stored)
        self._record.cache_status = member.decode()
        return head.with_field(b"Cache-Status", member)

    def _members(self, attempt: Attempt, head: ResponseHead) -> bytes:
        """Proxy-Status, of the hops that were asked and of this one."""
        text, own = self._hop.relay_member(attempt.endpoint.text, head.status)
        self._record.proxy_status = text
        return b", ".join((*values_of(head.headers, b"proxy-status"), own))


async def _refresh(exchange: CachingExchange, stored: Stored) -> None:
    try:
        await exchange.run()
    finally:
        stored.refreshing = False
