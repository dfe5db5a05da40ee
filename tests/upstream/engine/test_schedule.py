"""Schedules are pure: tables and properties, no clock, no sockets."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.engine.schedule import Occasion, Schedule, When, glob, meets


def request(path: str = "/products", method: str = "GET", **headers: str) -> Occasion:
    return Occasion("app-1", method, path, [(name.replace("_", "-"), value) for name, value in headers.items()], 1)


def decisions(when: When, count: int, seed: object = 0) -> list[bool]:
    schedule = Schedule(when, random.Random(str(seed)))
    return [schedule.decide(request()) for _ in range(count)]


@pytest.mark.parametrize(
    ("when", "occasion", "expected"),
    [
        ({}, request(), True),
        ({"path": "/products"}, request(), True),
        ({"path": "/products"}, request("/products/1"), False),
        ({"path": "/products*"}, request("/products/1"), True),
        ({"path": "*/1"}, request("/products/1"), True),
        ({"method": "get"}, request(), True),
        ({"method": ["PUT", "POST"]}, request(method="POST"), True),
        ({"method": ["PUT", "POST"]}, request(), False),
        ({"header": {"x-user": "a"}}, request(X_User="a"), True),
        ({"header": {"X-User": "a"}}, request(X_User="b"), False),
        ({"header": {"X-User": "*"}}, request(X_User=""), True),
        ({"header": {"X-User": "*"}}, request(), False),
        ({"header": {"X-User": "a*", "X-Other": "b"}}, request(X_User="abc"), False),
        ({"session": "s1"}, request(x_badgateway_session="s1"), True),
        ({"session": "s1"}, request(X_Badgateway_Session="s2"), False),
        ({"session": "s1"}, request(), False),
        ({"session": "s1"}, request(baggage="a=b, badgateway-session=s1;ttl=1 , c=d"), True),
        ({"session": "s1"}, request(baggage="badgateway-session=s12"), False),
        ({"session": "s1"}, request(baggage="my-badgateway-session=s1"), False),
        ({"session": "s1"}, request(baggage="a=badgateway-session=s1"), False),
        ({"instance": "app-1"}, request(), True),
        ({"instance": "app-2"}, request(), False),
        ({"path": "/products", "method": "POST"}, request(), False),
        ({"instance": "app-1"}, Occasion("app-1"), True),
    ],
)
def test_conditions(when: dict[str, Any], occasion: Occasion, expected: bool) -> None:
    assert meets(When.model_validate(when), occasion) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("*", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*b*", "abc", True),
        ("*b*b*", "abc", False),
        ("a*b*c", "axxbyyc", True),
        ("a*c*b", "acb", True),
        ("[a]", "a", False),
        ("?", "a", False),
        ("**", "anything", True),
    ],
)
def test_glob(pattern: str, text: str, expected: bool) -> None:
    assert glob(pattern, text) is expected


@given(st.lists(st.text(alphabet="ab", max_size=4), min_size=1, max_size=5), st.data())
def test_a_glob_matches_what_it_was_made_of(pieces: list[str], data: st.DataObject) -> None:
    filled = pieces[0] + "".join(data.draw(st.text(alphabet="abc", max_size=3)) + piece for piece in pieces[1:])
    assert glob("*".join(pieces), filled)


@given(st.integers(1, 10), st.integers(0, 60))
def test_every_takes_exactly_each_nth(every: int, count: int) -> None:
    expected = [number % every == 0 for number in range(1, count + 1)]
    assert decisions(When(every=every), count) == expected


@given(st.integers(1, 10), st.integers(0, 40))
def test_first_takes_exactly_the_first(first: int, count: int) -> None:
    assert decisions(When(first=first), count) == [number < first for number in range(count)]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 60))
def test_first_counts_what_every_leaves(first: int, every: int, count: int) -> None:
    assert sum(decisions(When(first=first, every=every), count)) == min(first, count // every)


@given(st.floats(0, 100), st.integers())
def test_the_same_seed_decides_the_same(percentage: float, seed: int) -> None:
    when = When(percentage=percentage, seed=seed)
    assert decisions(when, 50, seed) == decisions(when, 50, seed)


def test_different_seeds_decide_differently() -> None:
    when = When(percentage=50)
    assert len({tuple(decisions(when, 50, seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize(("percentage", "least", "most"), [(0, 0, 0), (100, 2000, 2000), (25, 440, 560)])
def test_percentage_is_a_share(percentage: float, least: int, most: int) -> None:
    assert least <= sum(decisions(When(percentage=percentage), 2000, 1)) <= most


@given(st.integers(), st.floats(1, 99), st.integers(2, 4))
def test_the_nth_match_gets_the_nth_draw_whatever_else_is_asked(seed: int, percentage: float, every: int) -> None:
    plain = decisions(When(percentage=percentage), 40, seed)
    thinned = decisions(When(percentage=percentage, every=every), 40, seed)
    assert thinned == [drawn and number % every == 0 for number, drawn in enumerate(plain, 1)]


def test_only_occasions_that_meet_the_conditions_are_counted() -> None:
    schedule = Schedule(When(path="/a", every=2), random.Random(0))
    taken = [schedule.decide(request(path)) for path in ["/a", "/b", "/b", "/a", "/a", "/a"]]
    assert taken == [False, False, False, True, False, True]
    assert (schedule.matched, schedule.taken) == (4, 2)


@pytest.mark.parametrize(
    ("when", "at_once"),
    [({}, True), ({"instance": "a"}, True), ({"first": 1}, False), ({"path": "/"}, False), ({"percentage": 1}, False)],
)
def test_what_waits_for_a_request(when: dict[str, Any], at_once: bool) -> None:
    assert When.model_validate(when).at_once is at_once


@pytest.mark.parametrize(
    "when", [{"every": 0}, {"first": 0}, {"percentage": 101}, {"percentage": "50"}, {"path": ""}, {"pth": "/"}]
)
def test_nonsense_is_refused(when: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(when))):
        When.model_validate(when)
