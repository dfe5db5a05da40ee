"""How old a stored response is, for how long it is fresh, and what it may be used for afterwards. Pure.

RFC 9111 section 4.2 (freshness), RFC 5861 (stale-while-revalidate, stale-if-error). All times are seconds. `now` is
the policies' clock, which a lab can advance; dates in fields are compared with each other, or with the wall clock's
time at which they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.policies.caching.dates import parse_date
from badgateway_proxy.policies.caching.directives import MOST_SECONDS, Directives
from badgateway_proxy.policies.caching.fields import Fields, first_of

HEURISTIC_STATUSES: Final = frozenset((200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501))
"""RFC 9110 section 15.1: heuristically cacheable."""

FAILURES: Final = frozenset((500, 502, 503, 504))
"""What stale-if-error takes for an error (RFC 5861 section 4)."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What one stored response may be used for, and until when. Times of the policies' clock; durations in seconds."""

    born: float
    """When it was of age 0."""
    lifetime: float
    """How long it is fresh, from its birth on; 0: it never is."""
    validate_always: bool = False
    """no-cache: never without asking the origin (RFC 9111 section 5.2.2.4)."""
    never_stale: bool = False
    """must-revalidate, proxy-revalidate, s-maxage or no-cache: not once it is stale, whatever happens."""
    while_revalidating: float = 0.0
    """How long after its lifetime it may be served while it is fetched anew."""
    on_error: float = 0.0
    """How long after its lifetime it may be served when the origin fails."""

    @property
    def until(self) -> float:
        """The end of its lifetime, by the policies' clock."""
        return self.born + self.lifetime

    def age(self, now: float) -> float:
        """Its current age (RFC 9111 section 4.2.3)."""
        return max(0.0, now - self.born)

    def ttl(self, now: float) -> float:
        """What is left of its lifetime; below 0 once it is stale."""
        return self.until - now


class Moment(NamedTuple):
    """When a response came."""

    delay: float
    """Seconds since the request was made."""
    wall: float
    """Seconds since the epoch."""
    now: float
    """Seconds of the policies' clock."""


class Use(Enum):
    """What a stored response may be used for now."""

    FRESH = "fresh"
    WHILE_REVALIDATING = "while revalidating"
    STALE = "stale"
    """The client said that it takes a stale one (max-stale)."""
    VALIDATE = "validate"


def judge(stored: Freshness, asked: Directives, now: float) -> Use:
    """Whether ``stored`` may be served to a request that says ``asked``, without the origin's word."""
    ttl = stored.ttl(now)
    if _too_old_for(stored, asked, now):
        return Use.VALIDATE
    if ttl > 0:
        return Use.FRESH
    if not stored.never_stale:
        if -ttl < stored.while_revalidating:
            return Use.WHILE_REVALIDATING
        if asked.max_stale is not None and -ttl <= asked.max_stale:
            return Use.STALE
    return Use.VALIDATE


def _too_old_for(stored: Freshness, asked: Directives, now: float) -> bool:
    if stored.validate_always or asked.no_cache:
        return True
    if asked.max_age is not None and stored.age(now) > asked.max_age:
        return True
    return asked.min_fresh is not None and stored.ttl(now) < asked.min_fresh


def may_stand_in(stored: Freshness, asked: Directives, now: float) -> bool:
    """Whether ``stored`` may be served in place of an error (RFC 5861 section 4): 5xx, or no response at all."""
    if stored.never_stale or stored.validate_always:
        return False
    allowed = stored.on_error if asked.stale_if_error is None else max(stored.on_error, asked.stale_if_error)
    return -stored.ttl(now) < allowed


def age_of(fields: Fields) -> float:
    """The Age field in seconds: its first member; 0 where that is none (RFC 9111 section 5.1)."""
    value = first_of(fields, b"age")
    if value is None:
        return 0.0
    first = value.split(b",", 1)[0].strip()
    return float(min(int(first[:20]), MOST_SECONDS)) if first.isdigit() else 0.0


def initial_age(fields: Fields, *, delay: float, wall: float) -> float:
    """corrected_initial_age of RFC 9111 section 4.2.3, but for the second that a Date may be wrong by.

    Args:
        fields: the response's header section.
        delay: seconds between the request and the response.
        wall: seconds since the epoch at which the response came.
    """
    date = parse_date(first_of(fields, b"date") or b"")
    # A Date has whole seconds, rounded down: what was made in its last moment would seem a second old at once.
    apparent = 0.0 if date is None else max(0.0, wall - date - 1)
    return max(apparent, age_of(fields) + delay)


def explicit_lifetime(fields: Fields, said: Directives, *, wall: float) -> float | None:
    """The lifetime that a response states, for a shared cache (RFC 9111 section 4.2.1); None where it states none."""
    if said.s_maxage is not None:
        return said.s_maxage
    if said.max_age is not None:
        return said.max_age
    expires = first_of(fields, b"expires")
    if expires is None:
        return None
    until = parse_date(expires)
    if until is None:
        return 0.0
    date = parse_date(first_of(fields, b"date") or b"")
    return max(0.0, until - (wall if date is None else date))


def heuristic_lifetime(status: int, fields: Fields, said: Directives, settings: CacheSettings, *, wall: float) -> float:
    """The lifetime guessed for a response that states none (RFC 9111 section 4.2.2); 0 for none."""
    if status in settings.negative.statuses and settings.negative.ttl:
        return settings.negative.ttl
    if status not in HEURISTIC_STATUSES and not said.public:
        return 0.0
    modified = parse_date(first_of(fields, b"last-modified") or b"")
    if modified is None:
        # Whoever sets a cookie speaks to one client; a guess must not tell everybody. nginx: likewise.
        return 0.0 if first_of(fields, b"set-cookie") is not None else settings.default_ttl
    date = parse_date(first_of(fields, b"date") or b"")
    since = (wall if date is None else date) - modified
    return min(max(0.0, since * settings.heuristic_share), settings.heuristic_max)


def freshness_of(status: int, fields: Fields, said: Directives, settings: CacheSettings, moment: Moment) -> Freshness:
    """What a response that came just now may be used for.

    Args:
        status: its status.
        fields: its header section.
        said: what it says to this cache (see `directives.response_directives`).
        settings: what holds where it says nothing.
        moment: when it came.
    """
    lifetime = explicit_lifetime(fields, said, wall=moment.wall)
    if lifetime is None:
        lifetime = heuristic_lifetime(status, fields, said, settings, wall=moment.wall)
    revalidate, on_error = said.stale_while_revalidate, said.stale_if_error
    return Freshness(
        born=moment.now - initial_age(fields, delay=moment.delay, wall=moment.wall),
        lifetime=lifetime,
        validate_always=said.no_cache,
        never_stale=said.must_revalidate or said.proxy_revalidate or said.s_maxage is not None or said.no_cache,
        while_revalidating=settings.stale_while_revalidate if revalidate is None else revalidate,
        on_error=settings.stale_if_error if on_error is None else on_error,
    )
