from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.cache.body import Body
from badgateway_proxy.cache.store import MOST_VARIANTS, Store
from badgateway_proxy.cache.stored import OVERHEAD, Stored
from badgateway_proxy.policies.caching.freshness import Freshness

FRESH = Freshness(born=0.0, lifetime=60.0)
PLENTY = 1 << 30


def stored(
    target: str = "/",
    *,
    size: int = 100,
    foo: bytes | None = None,
    tags: tuple[bytes, ...] = (),
    host: str = "a",
) -> Stored:
    selecting = () if foo is None else ((b"foo", foo),)
    body = Body(b"x" * size, complete=True)
    return Stored((host, target), selecting, 200, b"HTTP/1.1 200 OK", [], FRESH, body, size, frozenset(tags))


def test_the_newest_variant_comes_last_and_one_like_it_takes_its_place() -> None:
    store = Store(PLENTY, 100)
    one, two, again = stored(foo=b"1"), stored(foo=b"2"), stored(foo=b"1")
    for each in (one, two, again):
        store.add(each)
    assert list(store.variants(("a", "/"))) == [two, again]
    assert len(store) == 2
    assert store.bytes == two.cost + again.cost
    assert store.variants(("b", "/")) == ()


def test_the_least_recently_used_goes_first() -> None:
    store = Store(PLENTY, 2)
    one, two, three = (stored(f"/{name}") for name in "abc")
    store.add(one)
    store.add(two)
    store.use(one)
    store.add(three)
    assert store.variants(two.resource) == ()
    assert store.variants(one.resource) == [one]
    assert (len(store), store.evicted) == (2, 1)
    store.use(two)  # gone: nothing to note


def test_memory_is_bounded_by_bytes() -> None:
    each = OVERHEAD + len("a" + "/0") + 2 * len(b"HTTP/1.1 200 OK") + 1000
    store = Store(3 * each, 100)
    for number in range(10):
        store.add(stored(f"/{number}", size=1000))
    assert (len(store), store.bytes, store.evicted) == (3, 3 * each, 7)
    plain, found = stored(size=0), stored("/" + "x" * 99, foo=b"y" * 50, tags=(b"z" * 20,), size=0)
    assert found.cost - plain.cost == 99 + 50 + 20  # what it is found by is held, too


def test_what_grows_makes_others_go_and_at_last_itself() -> None:
    store = Store(10_000, 100)
    other, growing = stored("/other"), stored("/growing", size=0)
    growing.body = Body()
    store.add(other)
    store.add(growing)
    growing.body.append(b"x" * 6500)
    assert store.charge(growing)
    assert len(store) == 2
    growing.body.append(b"x" * 500)
    growing.body.append(b"x" * 1000)
    assert store.charge(growing)
    assert len(store) == 1
    growing.body.append(b"x" * 1000)
    assert not store.charge(growing)
    assert (len(store), store.bytes) == (0, 0)
    assert not growing.body.kept  # whoever reads it goes on; nobody keeps it
    assert not store.charge(growing)


def test_a_resource_cannot_have_any_number_of_variants() -> None:
    store = Store(PLENTY, 1000)
    for number in range(2 * MOST_VARIANTS):
        store.add(stored(foo=b"%d" % number))
    variants = store.variants(("a", "/"))
    assert len(variants) == len(store) == MOST_VARIANTS
    assert variants[-1].selecting == ((b"foo", b"%d" % (2 * MOST_VARIANTS - 1)),)


def test_purging() -> None:
    store = Store(PLENTY, 100)
    for each in (
        stored("/a", tags=(b"shop", b"new")), stored("/b", tags=(b"shop",)), stored("/c"), stored("/c", foo=b"1"),
        stored("/c", host="b"),
    ):  # fmt: skip
        store.add(each)
    assert store.purge_tag(b"new") == 1
    assert store.purge_tag(b"new") == 0
    assert store.purge_tag(b"shop") == 1
    assert store.purge_resource(("b", "/c")) == 1
    assert store.purge_target("/c") == 2
    assert (len(store), store.bytes) == (0, 0)
    store.add(stored())
    assert store.clear() == 1


def test_other_bounds_hold_at_once() -> None:
    store = Store(PLENTY, 100)
    for number in range(5):
        store.add(stored(f"/{number}"))
    store.resize(PLENTY, 2)
    assert [each.resource[1] for number in range(5) for each in store.variants(("a", f"/{number}"))] == ["/3", "/4"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "use", "tag", "purge"]),
        st.integers(0, 5),
        st.sampled_from([None, b"1", b"2"]),
        st.integers(0, 4000),
        st.sets(st.sampled_from([b"x", b"y"])),
    ),
    max_size=60,
)


@pytest.mark.parametrize("objects", [1, 5])
@given(STEPS)
def test_whatever_happens_it_keeps_its_bounds_and_its_books(
    objects: int, steps: list[tuple[str, int, bytes | None, int, set[bytes]]]
) -> None:
    store = Store(12_000, objects)
    known: list[Stored] = []
    for what, number, foo, size, tags in steps:
        if what == "add":
            known.append(stored(f"/{number}", size=size, foo=foo, tags=tuple(tags)))
            store.add(known[-1])
        elif what == "tag":
            store.purge_tag(b"x")
        elif what == "purge":
            store.purge_target(f"/{number}")
        elif known:
            (store.remove if what == "remove" else store.use)(known[number % len(known)])
        there = [each for each in known if each in store.variants(each.resource)]
        assert len(store) == len(there) <= objects
        assert store.bytes == sum(each.cost for each in there) <= 12_000
    store.clear()
    assert (len(store), store.bytes) == (0, 0)
    assert store.purge_tag(b"x") == store.purge_tag(b"y") == 0
