"""Refusals in words that help."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from badgateway_upstream.strict import Strict, did_you_mean, problems_of


class Inner(Strict):
    count: int = 0


class Outer(Strict):
    inner: Inner = Inner()
    names: list[str] = []  # noqa: RUF012 - pydantic copies it


def problems(data: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Outer).validate_python(data)
    return problems_of(caught.value, "file")


def test_everything_is_said_at_once_and_where() -> None:
    assert problems({"inner": {"cuont": 1, "count": "1"}, "names": ["a", 2], "x": {}}) == [
        "file.inner.count: must be a whole number, not '1'",
        "file.inner.cuont: unknown attribute 'cuont'; did you mean 'count'?",
        "file.names[1]: must be text, not 2",
        "file.x: unknown attribute 'x'; known: inner, names",
    ]


def test_long_values_are_shortened() -> None:
    (problem,) = problems({"names": "x" * 1000})
    assert len(problem) < 120


def test_suggestions() -> None:
    assert did_you_mean("latancy", ["jitter", "latency"]) == "did you mean 'latency'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("zzz", []) == "nothing is known here"
