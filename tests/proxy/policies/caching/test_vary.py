from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.caching.vary import matches, normalized, selecting_fields

Fields = list[tuple[bytes, bytes]]
VARY: Fields = [(b"Vary", b"Foo, bar"), (b"vary", b"BAZ")]


@pytest.mark.parametrize(
    ("stored", "asked", "fits"),
    [
        ([(b"Foo", b"1")], [(b"foo", b"1")], True),
        ([(b"Foo", b"1")], [(b"Foo", b"2")], False),
        ([(b"Foo", b"1")], [], False),
        ([], [(b"Foo", b"1")], False),
        ([(b"Foo", b"")], [], False),
        ([(b"Foo", b"1"), (b"Other", b"1")], [(b"Foo", b"1"), (b"Other", b"2")], True),
        ([(b"Foo", b"1"), (b"Baz", b"x")], [(b"Baz", b"x"), (b"Foo", b"1")], True),
        ([(b"Foo", b"1"), (b"Baz", b"x")], [(b"Baz", b"y"), (b"Foo", b"1")], False),
        ([(b"Foo", b"1, 2")], [(b"Foo", b"1"), (b"Foo", b"2")], True),
        ([(b"Foo", b"1,2")], [(b"Foo", b" 1, 2 ")], True),
        ([(b"Foo", b'"a, b"')], [(b"Foo", b'"a,b"')], False),
    ],
)
def test_a_request_fits_what_was_stored_for_one_that_agrees(stored: Fields, asked: Fields, fits: bool) -> None:
    assert matches(selecting_fields(VARY, stored), asked) is fits


def test_without_vary_any_request_fits() -> None:
    assert selecting_fields([], [(b"Foo", b"1")]) == ()
    assert matches((), [(b"Foo", b"1")])


FIELDS = st.lists(st.tuples(st.sampled_from([b"Foo", b"bar", b"Qux"]), st.sampled_from([b"", b"1", b"1,2", b" 1 , 2"])))


@given(FIELDS, FIELDS)
def test_fitting_is_the_same_from_either_side(one: Fields, other: Fields) -> None:
    first, second = selecting_fields(VARY, one), selecting_fields(VARY, other)
    assert matches(first, other) == matches(second, one) == (first == second)
    assert matches(first, one)


def test_normalized() -> None:
    assert normalized(()) is None
    assert normalized((b"", b"a")) == b",a"
