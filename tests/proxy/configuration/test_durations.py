import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from badgateway_proxy.configuration.durations import (
    LONGEST,
    Duration,
    PositiveDuration,
    format_duration,
    parse_duration,
)

DURATION = TypeAdapter[float](Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10.0), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), ("0s", 0.0), ("0.5ms", 0.0005)],
)
def test_reads_what_people_write(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert DURATION.validate_python(text) == seconds


@pytest.mark.parametrize("number", [5, 1.5, 0, -3, "5", " 7 ", "-2", "1.5"])
def test_a_bare_number_needs_a_unit(number: object) -> None:
    with pytest.raises(ValueError, match="needs a unit, such as 500ms or 10s"):
        parse_duration(number)


@pytest.mark.parametrize(
    "wrong", ["", "s", "10 s", "10sec", "-1s", "1m30s", "1e3s", ".5s", "5.s", "٣s", "10S", None, True, ["1s"], "9000h"]
)
def test_anything_else_is_refused_with_a_sentence(wrong: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(wrong)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "250ms"),
        (0.5, "500ms"),
        (1.5, "1.5s"),
        (10.0, "10s"),
        (60.0, "1m"),
        (90.0, "90s"),
        (3600.0, "1h"),
        (5400.0, "90m"),
        (0.0, "0s"),
        (0.0001, "0.1ms"),
    ],
)
def test_writes_it_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=1e-9, max_value=LONGEST))
def test_what_is_written_reads_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_what_is_no_duration_is_not_written(wrong: float) -> None:
    with pytest.raises(ValueError, match="no duration"):
        format_duration(wrong)


def test_json_has_text_and_python_has_seconds() -> None:
    assert DURATION.dump_python(0.25, mode="json") == "250ms"
    assert DURATION.dump_python(0.25) == 0.25
    assert DURATION.json_schema()["type"] == "string"


def test_a_positive_duration_is_longer_than_nothing() -> None:
    with pytest.raises(ValidationError, match="longer than 0s"):
        TypeAdapter[float](PositiveDuration).validate_python("0s")
