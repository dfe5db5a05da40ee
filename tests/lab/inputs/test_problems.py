from __future__ import annotations

import pytest

from badgateway.inputs.problems import InvalidInput, Mark, Problem, as_text, did_you_mean, path_text


def test_a_problem_reads_as_editors_expect() -> None:
    problem = Problem.at(
        "s.yaml", Mark(3, 7), ("steps", 0, "expect", "stauts"), "unknown key", 'did you mean "status"?'
    )
    assert str(problem) == 's.yaml:3:7: steps[0].expect.stauts: unknown key; did you mean "status"?'


def test_a_hint_stands_before_the_caret() -> None:
    assert str(Problem("f", 1, 2, "x", "bad\n  a b\n    ^", "hint")) == "f:1:2: x: bad; hint\n  a b\n    ^"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("", 0, 0, "", "what"), "what"),
        (Problem("", 0, 0, "a.b", "what"), "a.b: what"),
        (Problem("f", 0, 0, "", "what"), "f: what"),
    ],
)
def test_what_is_not_known_is_left_out(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_an_error_says_all_its_problems_once() -> None:
    one, two = Problem("f", 1, 1, "", "one"), Problem("f", 2, 1, "", "two")
    error = InvalidInput([one, two, one])
    assert str(error) == "f:1:1: one\nf:2:1: two"
    assert error.problems == (one, two)


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("stauts", ["status", "body"], 'did you mean "status"?'),
        ("first-byte", ["first_byte", "request"], 'did you mean "first_byte"?'),
        ("CRASH", ["crash", "exit"], 'did you mean "crash"?'),
        ("zzz", ["b", "a"], "known: a, b"),
        ("zzz", [str(n) for n in range(13)], ""),
        ("zzz", [], ""),
    ],
)
def test_suggestions(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, known) == hint


def test_paths_quote_odd_keys() -> None:
    assert path_text(("header", "X-A", 3, "a b")) == 'header.X-A[3]."a b"'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        ("a\nb", '"a\\nb"'),
        ("x" * 100, '"' + "x" * 59 + '…"'),
        (1.5, "1.5"),
        (10**50, "a huge number"),
        ([1], "a list"),
        ({}, "a mapping"),
    ],
)
def test_values_are_shown_short(value: object, text: str) -> None:
    assert as_text(value) == text
