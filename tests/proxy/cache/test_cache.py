from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.cache.asked import Asked
from badgateway_proxy.cache.body import Body
from badgateway_proxy.cache.cache import Cache
from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.policies.caching.freshness import Moment, Use, judge
from badgateway_proxy.transport.response_reader import ResponseHead
from tests.proxy.cache.test_asked import asked, request

WALL = 1_700_000_000.0


def cache(**settings: Any) -> Cache:
    return Cache(CacheSettings.model_validate({"enabled": True, **settings}), b"cdn")


def head(*fields: tuple[bytes, bytes], status: int = 200, length: int | None = None) -> ResponseHead:
    made = ResponseHead()
    made.status, made.reason, made.headers, made.length = status, b"OK", list(fields), length
    return made


def keep(store: Cache, who: Asked, received: ResponseHead, now: float = 0.0) -> Stored | None:
    moment = Moment(0.0, WALL + now, now)
    fresh, said, reason = store.consider(who, received, moment)
    if reason is not None:
        return None
    return store.keep(who, received, said, fresh, Body(b"body", complete=True), moment.wall)


FRESH = (b"Cache-Control", b"max-age=60")


def test_what_is_stored_has_a_date_and_this_hop_in_its_via() -> None:
    kept = keep(cache(), asked(), head(FRESH, (b"Via", b"1.1 lb"), (b"X-Request-ID", b"a")))
    assert kept is not None
    assert kept.head == (
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nVia: 1.1 lb, 1.1 cdn"
    )
    assert kept.length == 4


def test_the_stored_via_says_which_version_the_response_came_in() -> None:
    received = head(FRESH, (b"Via", b"1.1 lb"))
    received.version = b"1.0"
    kept = keep(cache(), asked(), received)
    assert kept is not None
    assert kept.head.endswith(b"\r\nVia: 1.1 lb, 1.0 cdn")


def test_the_newest_that_fits_is_found() -> None:
    store = cache()
    varying = (b"Vary", b"Foo")
    one, two = asked((b"Foo", b"1")), asked((b"Foo", b"2"))
    first, second = keep(store, one, head(FRESH, varying)), keep(store, two, head(FRESH, varying))
    assert (store.find(one), store.find(two), store.find(asked())) == (first, second, None)
    for_all = keep(store, asked(), head(FRESH))
    assert store.find(two) is for_all


def test_requests_that_may_share_an_answer_have_a_key_in_common() -> None:
    store = cache()
    assert store.common(asked(), 0.0) == store.common(asked((b"Foo", b"1")), 0.0) is not None
    assert store.common(asked((b"Range", b"bytes=0-1")), 0.0) is None
    assert cache(collapse=False).common(asked(), 0.0) is None
    # once it is known what the resource varies by, they are told apart before there is an answer
    keep(store, asked((b"Foo", b"1")), head(FRESH, (b"Vary", b"Foo")))
    assert store.common(asked(), 0.0) != store.common(asked((b"Foo", b"1")), 0.0)


def test_those_whose_answers_are_nobody_elses_do_not_wait_for_a_while() -> None:
    store = cache()
    key = store.common(asked(), 0.0)
    store.stay_alone(store.flights.begin(asked().resource, key), 0.0)
    assert store.common(asked(), 119.0) is None
    assert store.common(asked(), 120.0) == key
    for number in range(10_001):  # however many there are, they are not remembered without end
        store.stay_alone(store.flights.begin(("a", f"/{number}"), number), 0.0)
    assert len(store._alone) <= 10_000


def test_a_304_renews_age_lifetime_and_fields() -> None:
    store = cache()
    kept = keep(store, asked(), head(FRESH, (b"ETag", b'"a"'), (b"X-Old", b"1"), (b"Via", b"1.1 lb")))
    assert kept is not None
    again = head((b"ETag", b'"a"'), (b"Age", b"5"), (b"Via", b"1.1 other"), (b"X-New", b"1"), status=304)
    store.renew(kept, again, Moment(1.0, WALL + 100, 100.0))
    assert (kept.fresh.age(100.0), kept.fresh.ttl(100.0)) == (6.0, 54.0)
    names = [name for name, _ in kept.fields]
    assert {b"X-Old", b"X-New", b"ETag", b"Cache-Control", b"Via"} <= set(names)
    assert b"Age" not in names
    assert dict(kept.fields)[b"Via"] == b"1.1 lb, 1.1 cdn"


@pytest.mark.parametrize(
    ("received", "kept"),
    [
        (head((b"ETag", b'"a"'), length=4), True),
        (head((b"ETag", b'"b"'), length=4), False),
        (head((b"ETag", b'"a"'), length=5), False),
        (head(status=404), True),  # says nothing of a 200
    ],
)
def test_a_head_tells_whether_it_still_holds(received: ResponseHead, kept: bool) -> None:
    store = cache()
    stored = keep(store, asked(), head(FRESH, (b"ETag", b'"a"')))
    assert stored is not None
    store.learn_from_head(stored, received, Moment(0.0, WALL, 0.0))
    assert (store.find(asked()) is stored) is kept


def test_what_grows_too_large_is_not_kept() -> None:
    store = cache(max_object=10)
    kept = keep(store, asked(), head(FRESH))
    assert kept is not None
    kept.body = Body(b"x" * 11)
    store.grew(kept)
    assert store.find(asked()) is None
    assert keep(store, asked(), head(FRESH, length=11)) is None


FORGETTING: list[tuple[Callable[[Cache], int], int]] = [
    (lambda store: store.invalidate([asked().resource, ("a", "/none")]), 1),
    (lambda store: store.purge(url="/a?b"), 1),
    (lambda store: store.purge(url="http://SHOP.example:80/a?b"), 1),
    (lambda store: store.purge(url="http://shop.example:80/other"), 0),
    (lambda store: store.purge(tag="t"), 1),
    (Cache.purge, 1),
]


@pytest.mark.parametrize(("forget", "count"), FORGETTING)
def test_purging_and_invalidating_forget_and_doom_what_is_on_its_way(
    forget: Callable[[Cache], int], count: int
) -> None:
    store = cache()
    keep(store, asked(), head(FRESH, (b"Cache-Tag", b"t")))
    flight = store.flights.begin(asked().resource, "key")
    assert forget(store) == count
    assert flight.doomed


def test_other_settings_hold_at_once() -> None:
    store = cache()
    keep(store, asked(), head(FRESH))
    store.configure(CacheSettings.model_validate({"objects": 1, "targeted": ["Own-Cache-Control"]}))
    assert len(store.store) == 1
    kept = keep(store, asked(), head(FRESH, (b"Own-Cache-Control", b"max-age=5")))
    assert kept is not None
    assert kept.fresh.lifetime == 5


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["store", "ask", "invalidate"]),
        st.sampled_from([b"1", b"2", None]),
        st.integers(0, 20),  # max-age
        st.booleans(),  # Vary: Foo
        st.integers(0, 8),  # seconds until then
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_what_is_served_is_fresh_and_fits(
    steps: list[tuple[str, bytes | None, int, bool, int]],
) -> None:
    """Against the plainest model: the responses of which one is left, newest last."""
    store, now = cache(), 0.0
    model: list[tuple[bytes | None, bool, float]] = []  # the value of Foo, whether it counts, and until when
    for what, foo, max_age, varies, pause in steps:
        now += pause
        who = Asked(request(*([] if foo is None else [(b"Foo", foo)])), obey_clients=True)
        if what == "store":
            fields = [(b"Cache-Control", b"max-age=%d" % max_age)] + ([(b"Vary", b"Foo")] if varies else [])
            if keep(store, who, head(*fields), now) is not None:
                model = [each for each in model if each[1] != varies or (varies and each[0] != foo)]
                model.append((foo, varies, now + max_age))
        elif what == "invalidate":
            store.invalidate([who.resource])
            model = []
        found = store.find(who)
        expected = next((each for each in reversed(model) if not each[1] or each[0] == foo), None)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert (judge(found.fresh, who.directives, now) is Use.FRESH) == (now < expected[2])
