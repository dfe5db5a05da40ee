from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.policies.caching.directives import NONE, Directives, response_directives
from badgateway_proxy.policies.caching.fields import Fields
from badgateway_proxy.policies.caching.freshness import (
    Freshness,
    Moment,
    Use,
    age_of,
    freshness_of,
    judge,
    may_stand_in,
)

WALL = 1_700_000_000.0
MOMENT = Moment(delay=0.0, wall=WALL, now=1000.0)


def date(offset: float) -> bytes:
    return formatdate(WALL + offset, usegmt=True).encode()


def came(*fields: tuple[str, str | bytes], status: int = 200, delay: float = 0.0, **settings: object) -> Freshness:
    made: Fields = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in fields]
    chosen = CacheSettings.model_validate(settings)
    said = response_directives(made, (b"cdn-cache-control",))
    return freshness_of(status, made, said, chosen, Moment(delay, WALL, 1000.0))


@pytest.mark.parametrize(
    ("value", "age"),
    [
        (b"30", 30), (b"0", 0), (b"7200, 0", 7200), (b"0, 7200", 0), (b"abc", 0), (b"-5", 0), (b"7200.0", 0), (b"", 0),
        (b"2147483649", 2147483648), (b"9" * 100, 2147483648),
    ],
)  # fmt: skip
def test_the_age_field(value: bytes, age: float) -> None:
    assert age_of([(b"Age", value)]) == age


def test_the_first_age_line_counts() -> None:
    assert age_of([(b"Age", b"7200"), (b"age", b"0")]) == 7200
    assert age_of([]) == 0


def test_age_adds_up_across_hops() -> None:
    """RFC 9111 section 4.2.3: what it was when it came, the time that it took, and the time here."""
    fresh = came(("Cache-Control", "max-age=60"), ("Age", "30"), delay=2.0)
    assert fresh.age(1000.0) == 32
    assert fresh.age(1010.0) == 42
    assert fresh.ttl(1010.0) == 18


@pytest.mark.parametrize(("offset", "age"), [(-100, 99), (-2, 1), (-1, 0), (0, 0), (100, 0)])
def test_a_date_in_the_past_is_an_age_too(offset: float, age: float) -> None:
    assert came(("Date", date(offset)), ("Cache-Control", "max-age=60")).age(1000.0) == age


def test_within_its_second_a_response_is_new() -> None:
    fields = [(b"Date", date(0)), (b"Cache-Control", b"max-age=60")]
    said = response_directives(fields)
    for within in (0.0, 0.9, 1.0):
        fresh = freshness_of(200, fields, said, CacheSettings(), Moment(0.0, WALL + within, 1000.0))
        assert fresh.age(1000.0) == 0


@pytest.mark.parametrize(
    ("fields", "lifetime"),
    [
        ([("Cache-Control", "max-age=60")], 60),
        ([("Cache-Control", "max-age=60, s-maxage=10")], 10),
        ([("Cache-Control", "max-age=0"), ("Expires", date(60)), ("Date", date(0))], 0),
        ([("Cache-Control", "max-age=60"), ("Expires", "0")], 60),
        ([("Expires", date(60)), ("Date", date(0))], 60),
        ([("Expires", date(60)), ("Date", date(20))], 40),
        ([("Expires", date(60))], 60),
        ([("Expires", date(60)), ("Date", "foo")], 60),
        ([("Expires", date(300)), ("Date", date(400))], 0),
        ([("Expires", "0"), ("Date", date(0))], 0),
        ([("CDN-Cache-Control", "max-age=5"), ("Cache-Control", "max-age=60")], 5),
        ([], 0),
        ([("Last-Modified", date(-1000)), ("Date", date(0))], 100),
        ([("Last-Modified", date(-1000))], 100),
        ([("Last-Modified", date(1000)), ("Date", date(0))], 0),
        ([("Last-Modified", date(-10_000_000)), ("Date", date(0))], 24 * 3600),
        ([("Last-Modified", "yesterday")], 0),
    ],
)
def test_lifetimes(fields: list[tuple[str, str | bytes]], lifetime: float) -> None:
    assert came(*fields).lifetime == lifetime


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
def test_these_may_be_guessed(status: int) -> None:
    assert came(("Last-Modified", date(-1000)), status=status).lifetime == 100


@pytest.mark.parametrize("status", [201, 202, 302, 307, 403, 500, 502, 503, 504, 599])
def test_others_may_not_unless_they_are_public(status: int) -> None:
    assert came(("Last-Modified", date(-1000)), status=status).lifetime == 0
    assert came(("Last-Modified", date(-1000)), ("Cache-Control", "public"), status=status).lifetime == 100


def test_settings_say_what_a_response_does_not() -> None:
    silent = came(default_ttl="5s", stale_while_revalidate="6s", stale_if_error="7s")
    assert (silent.lifetime, silent.while_revalidating, silent.on_error) == (5, 6, 7)
    telling = came(
        ("Cache-Control", "max-age=1, stale-while-revalidate=2, stale-if-error=3"),
        default_ttl="5s", stale_while_revalidate="6s", stale_if_error="7s",
    )  # fmt: skip
    assert (telling.lifetime, telling.while_revalidating, telling.on_error) == (1, 2, 3)


def test_errors_are_fresh_only_where_a_setting_says_so() -> None:
    assert came(status=503).lifetime == 0
    assert came(status=503, negative={"ttl": "10s"}).lifetime == 10
    assert came(("Cache-Control", "max-age=1"), status=503, negative={"ttl": "10s"}).lifetime == 1
    assert came(status=503, negative={"ttl": "10s", "statuses": [500]}).lifetime == 0
    assert came(status=200, negative={"ttl": "10s"}).lifetime == 0


STALE = Freshness(born=0.0, lifetime=10.0, while_revalidating=5.0, on_error=50.0)


@pytest.mark.parametrize(
    ("asked", "now", "use"),
    [
        (NONE, 9.9, Use.FRESH),
        (NONE, 10.0, Use.WHILE_REVALIDATING),
        (NONE, 14.9, Use.WHILE_REVALIDATING),
        (NONE, 15.0, Use.VALIDATE),
        (Directives(no_cache=True), 1.0, Use.VALIDATE),
        (Directives(max_age=5), 5.0, Use.FRESH),
        (Directives(max_age=5), 5.1, Use.VALIDATE),
        (Directives(max_age=5), 12.0, Use.VALIDATE),
        (Directives(min_fresh=5), 4.0, Use.FRESH),
        (Directives(min_fresh=5), 6.0, Use.VALIDATE),
        (Directives(max_stale=10), 20.0, Use.STALE),
        (Directives(max_stale=10), 20.1, Use.VALIDATE),
        (Directives(max_stale=float("inf")), 1e9, Use.STALE),
    ],
)
def test_what_may_be_served(asked: Directives, now: float, use: Use) -> None:
    assert judge(STALE, asked, now) is use


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"])
def test_what_must_be_validated_is_never_served_stale(directive: str) -> None:
    said = f"max-age=10, {directive}, stale-while-revalidate=1000, stale-if-error=1000"
    fresh = came(("Cache-Control", said))
    later = 1000.0 + 11
    assert judge(fresh, NONE, later) is Use.VALIDATE
    assert judge(fresh, Directives(max_stale=float("inf")), later) is Use.VALIDATE
    assert not may_stand_in(fresh, NONE, later)
    assert not may_stand_in(fresh, Directives(stale_if_error=1000), later)


def test_no_cache_is_validated_even_when_fresh() -> None:
    assert judge(came(("Cache-Control", "max-age=10, no-cache")), NONE, 1000.0) is Use.VALIDATE


@pytest.mark.parametrize(
    ("asked", "now", "stands_in"),
    [
        (NONE, 59.9, True),
        (NONE, 60.0, False),
        (Directives(stale_if_error=100), 100.0, True),
        (Directives(stale_if_error=1), 59.9, True),
        (NONE, 1.0, True),  # fresh, but the client wanted it fresher
    ],
)
def test_what_may_stand_in_for_an_error(asked: Directives, now: float, stands_in: bool) -> None:
    assert may_stand_in(STALE, asked, now) is stands_in


@given(
    st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-(10**6), 10**6), st.floats(0, 100), st.floats(0, 10**6)
)
def test_a_response_is_fresh_exactly_while_its_age_is_below_its_lifetime(
    lifetime: int, age: int, offset: int, delay: float, later: float
) -> None:
    fresh = came(("Cache-Control", f"max-age={lifetime}"), ("Age", str(age)), ("Date", date(offset)), delay=delay)
    now = 1000.0 + later
    assert fresh.age(now) >= age + delay + later - 1e-6
    assert (judge(fresh, NONE, now) is Use.FRESH) == (fresh.ttl(now) > 0)
    assert fresh.age(now) + fresh.ttl(now) == pytest.approx(lifetime, abs=1e-6)
