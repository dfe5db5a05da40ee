"""A hop's cache: what is stored, what is on its way, and what the rules make of both. No I/O of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from email.utils import formatdate
from typing import Any

from badgateway_proxy.cache.asked import Asked
from badgateway_proxy.cache.body import Body
from badgateway_proxy.cache.flights import Flight, Flights
from badgateway_proxy.cache.store import Store
from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.policies.caching.cache_status import CacheResult
from badgateway_proxy.policies.caching.directives import Directives, response_directives
from badgateway_proxy.policies.caching.fields import Fields, first_of, members_of
from badgateway_proxy.policies.caching.freshness import Freshness, Moment, freshness_of
from badgateway_proxy.policies.caching.invalidation import Resource
from badgateway_proxy.policies.caching.storing import stored_fields, tags_of, why_not_stored
from badgateway_proxy.policies.caching.validation import confirms, updated
from badgateway_proxy.policies.caching.vary import matches, selecting_fields
from badgateway_proxy.transport.headers import status_line
from badgateway_proxy.transport.response_reader import ResponseHead

#: For how long (seconds) and how many resources it is remembered that their responses are nobody else's, so that
#: requests need not wait for each other in vain. Varnish: hit-for-miss, 120 s.
_ALONE_FOR = 120.0
_MOST_ALONE = 10_000


class Cache:
    """One hop's cache.

    Args:
        settings: how much it keeps, and for how long.
        name: what the hop calls itself in Via.
    """

    def __init__(self, settings: CacheSettings, name: bytes) -> None:
        self.settings = settings
        self._name = name
        self._targeted = tuple(name.lower().encode() for name in settings.targeted)
        self.store = Store(settings.memory, settings.objects)
        self.flights = Flights()
        self._alone: dict[Hashable, float] = {}
        #: How many exchanges there were of each `CacheResult`.
        self.results: Counter[str] = Counter()

    def configure(self, settings: CacheSettings) -> None:
        """Use other settings; what is stored stays, as far as it still fits."""
        self.settings = settings
        self._targeted = tuple(name.lower().encode() for name in settings.targeted)
        self.store.resize(settings.memory, settings.objects)

    # -- asking ----------------------------------------------------------------------------------------

    def find(self, asked: Asked) -> Stored | None:
        """The stored response that fits a request, the newest of several."""
        for stored in reversed(self.store.variants(asked.resource)):
            if not stored.selecting or matches(stored.selecting, asked.fields):
                return stored
        return None

    def common(self, asked: Asked, now: float) -> Hashable | None:
        """What requests that may share one answer have in common; None where they may not.

        By what a resource varied so far its requests are told apart before there is an answer.
        """
        if not (self.settings.collapse and asked.shareable):
            return None
        variants = self.store.variants(asked.resource)
        varying = [(b"Vary", name) for name, _ in variants[-1].selecting] if variants else []
        key = (asked.resource, selecting_fields(varying, asked.fields))
        return None if self._alone.get(key, now) > now else key

    def stay_alone(self, flight: Flight, now: float) -> None:
        """Requests like this one need not wait for each other for a while."""
        if flight.key is not None:
            if len(self._alone) >= _MOST_ALONE:
                self._alone.clear()
            self._alone[flight.key] = now + _ALONE_FOR

    # -- storing ---------------------------------------------------------------------------------------

    def consider(self, asked: Asked, head: ResponseHead, moment: Moment) -> tuple[Freshness, Directives, str | None]:
        """What a response could be used for, what it says to this cache, and why it is not stored (None: it is).

        Args:
            asked: the request.
            head: the response's.
            moment: when it came.
        """
        said = response_directives(head.headers, self._targeted)
        fresh = freshness_of(head.status, head.headers, said, self.settings, moment)
        reason = why_not_stored(
            asked.method, asked.directives, head.status, said, fresh, head.headers, authorized=asked.authorized
        )
        if reason is None and head.length is not None and head.length > self.settings.max_object:
            reason = "too large"
        return fresh, said, reason

    def keep(
        self, asked: Asked, head: ResponseHead, said: Directives, fresh: Freshness, body: Body, wall: float
    ) -> Stored:
        """Store a response, or what has come of it so far. ``wall``: when it came, in seconds since the epoch."""
        stored = Stored(
            asked.resource,
            selecting_fields(head.headers, asked.fields),
            head.status,
            status_line(head.status, head.reason),
            _with_via(_dated(stored_fields(head.headers, said, head.connection), wall), head.via(self._name)),
            fresh,
            body,
            body.size if body.complete else head.length,
            tags_of(head.headers, self.settings),
        )
        self.store.add(stored)
        return stored

    def grew(self, stored: Stored) -> None:
        """More of its body has come."""
        if stored.body.size > self.settings.max_object:
            self.store.remove(stored)
        else:
            self.store.charge(stored)

    def renew(self, stored: Stored, head: ResponseHead, moment: Moment) -> None:
        """The origin says that it still holds (RFC 9111 section 4.3.4)."""
        said = response_directives(head.headers, self._targeted)
        left_out = said.unstored | frozenset(members_of(head.connection)) | {b"via"}
        fields = updated(stored.fields, _dated(head.headers, moment.wall), left_out)
        # What holds from now on is what the updated fields say; those that the 304 left out are as they were. But
        # the age is the 304's: an Age that was stored is not.
        said = response_directives(fields, self._targeted)
        timed = [*fields, *(field for field in head.headers if field[0].lower() == b"age")]
        fresh = freshness_of(stored.status, timed, said, self.settings, moment)
        stored.renew(fields, fresh)
        self.store.charge(stored)

    def learn_from_head(self, stored: Stored, head: ResponseHead, moment: Moment) -> None:
        """Compare what is stored with the response to a HEAD: it still holds, or not (RFC 9111 section 4.3.5)."""
        if head.status != stored.status:
            return
        if confirms(head.headers, stored.fields) and head.length in (None, stored.length):
            self.renew(stored, head, moment)
        else:
            self.store.remove(stored)

    # -- forgetting ------------------------------------------------------------------------------------

    def invalidate(self, resources: Iterable[Resource]) -> int:
        """Forget what is stored of these, and store nothing of them that is on its way. Returns how many."""
        count = 0
        for resource in resources:
            self.flights.doom(resource)
            count += self.store.purge_resource(resource)
        return count

    def purge(self, *, url: str | None = None, tag: str | None = None) -> int:
        """Forget the responses of a URL, or with a tag; without either, all. Returns how many there were.

        Args:
            url: a path with its query, for any host, or a whole URL (the scheme does not matter).
            tag: one of those in the response fields that ``tags`` names.
        """
        self.flights.doom()
        if tag is not None:
            return self.store.purge_tag(tag.encode())
        if url is None:
            return self.store.clear()
        if url.startswith("/"):
            return self.store.purge_target(url)
        authority, slash, target = url.partition("://")[2].partition("/")
        return self.store.purge_resource((authority.lower(), slash + target if slash else "/"))

    def state(self) -> dict[str, Any]:
        """What `GET /state` says of it."""
        store = self.store
        results = {result.value: self.results[result] for result in CacheResult}
        return {"objects": len(store), "bytes": store.bytes, "evicted": store.evicted, "results": results}


def _dated(fields: Fields, wall: float) -> Fields:
    """With a Date, as a cache must have one (RFC 9110 section 6.6.1)."""
    if first_of(fields, b"date") is not None:
        return fields
    return [*fields, (b"Date", formatdate(wall, usegmt=True).encode())]


def _with_via(fields: Fields, member: bytes) -> Fields:
    via = [value for name, value in fields if name.lower() == b"via"]
    rest = [field for field in fields if field[0].lower() != b"via"]
    return [*rest, (b"Via", b", ".join([*via, member]))]
