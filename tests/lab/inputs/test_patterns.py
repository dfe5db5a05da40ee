from __future__ import annotations

from collections.abc import Callable

import pytest

from badgateway.inputs.patterns import CountPattern, RetryAfterPattern, Span, StatusPattern, TextPattern


@pytest.mark.parametrize(
    ("written", "yes", "no"),
    [
        (502, [502], [503, None]),
        ("502", [502], [503]),
        ("5xx", [500, 599], [499, None]),
        ([502, "2xx"], [502, 200], [503]),
        ("none", [None], [200]),
    ],
)
def test_statuses(written: object, yes: list[int | None], no: list[int | None]) -> None:
    pattern = StatusPattern.parse(written)
    assert all(pattern.matches(status) for status in yes)
    assert not any(pattern.matches(status) for status in no)
    assert StatusPattern.parse(pattern) is pattern


@pytest.mark.parametrize(
    ("written", "yes", "no"),
    [(3, [3], [2, 4]), ("1..3", [1, 3], [0, 4]), ("2..", [2, 99], [1]), ("..2", [0, 2], [3]), (0, [0], [1])],
)
def test_counts(written: object, yes: list[int], no: list[int]) -> None:
    pattern = CountPattern.parse(written)
    assert all(map(pattern.matches, yes))
    assert not any(map(pattern.matches, no))
    assert CountPattern.parse(str(pattern) if ".." in str(pattern) else int(str(pattern))) == pattern


@pytest.mark.parametrize(
    ("written", "yes", "no"),
    [("1s..10s", [1, 10], [0.9, 10.1]), ("15s..", [15, 1e6], [14]), ("..500ms", [0, 0.5], [0.6]), ("2s", [2], [1, 3])],
)
def test_spans(written: str, yes: list[float], no: list[float]) -> None:
    span = Span.parse(written)
    assert all(map(span.contains, yes))
    assert not any(map(span.contains, no))
    assert Span.parse(str(span)) == span


@pytest.mark.parametrize(
    ("written", "yes", "no"),
    [
        ("no-store", ["no-store"], ["no-store, x", None, ""]),
        ("/^no-/", ["no-store"], ["x no-", None]),
        ("/", ["/"], ["//"]),
        (True, ["", "x"], [None]),
        (False, [None], ["x"]),
        ({"present": False}, [None], ["x"]),
        (5, ["5"], ["50"]),
    ],
)
def test_texts(written: object, yes: list[str | None], no: list[str | None]) -> None:
    pattern = TextPattern.parse(written)
    assert all(pattern.matches(text) for text in yes)
    assert not any(pattern.matches(text) for text in no)


@pytest.mark.parametrize(
    ("written", "yes", "no"),
    [
        (True, [5], [None]),
        ("present", [0], [None]),
        (False, [None], [5]),
        ("1s..10s", [1, 10], [11, None]),
        ("5s", [5], [6]),
    ],
)
def test_retry_after(written: object, yes: list[float | None], no: list[float | None]) -> None:
    pattern = RetryAfterPattern.parse(written)
    assert all(pattern.matches(seconds) for seconds in yes)
    assert not any(pattern.matches(seconds) for seconds in no)


@pytest.mark.parametrize(
    ("parse", "written", "said"),
    [
        (StatusPattern.parse, "6xxx", "three digits"),
        (StatusPattern.parse, True, "three digits"),
        (StatusPattern.parse, [], "three digits"),
        (CountPattern.parse, -1, "whole number"),
        (CountPattern.parse, True, "whole number"),
        (CountPattern.parse, 1.5, "whole number"),
        (CountPattern.parse, "..", "whole number"),
        (CountPattern.parse, "3..1", "smaller number stands first"),
        (Span.parse, "..", "at least one end"),
        (Span.parse, "2s..1s", "smaller end stands first"),
        (Span.parse, "1..2", "needs a unit"),
        (Span.parse, 5, "needs a unit"),
        (TextPattern.parse, "/(/", "no regular expression"),
        (TextPattern.parse, ["x"], "regular expression"),
        (RetryAfterPattern.parse, 5, "needs a unit"),
    ],
)
def test_what_is_no_pattern_says_how_to_write_one(
    parse: Callable[[object], object], written: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        parse(written)
