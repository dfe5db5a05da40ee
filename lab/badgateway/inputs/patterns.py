"""The small patterns that an expectation is written in: `5xx`, `1..3`, `1s..10s`, `/regex/`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from badgateway_proxy import format_duration, parse_duration

_STATUS = re.compile(r"[1-9](xx|[0-9]{2})")
_COUNT = re.compile(r"(?P<low>[0-9]{1,9})?\.\.(?P<high>[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class StatusPattern:
    """One or several of `502`, `5xx`, `none` (no response at all)."""

    choices: tuple[str, ...]

    def matches(self, status: int | None) -> bool:
        """Whether a status, or its absence, is among them."""
        text = "none" if status is None else str(status)
        return any(choice == text or (choice[1:] == "xx" and text[0] == choice[0]) for choice in self.choices)

    def __str__(self) -> str:
        return " or ".join(self.choices)

    @classmethod
    def parse(cls, value: object) -> StatusPattern:
        """From `502`, `"5xx"`, `none` or a list of these. Raises ValueError."""
        if isinstance(value, StatusPattern):
            return value
        choices = tuple(str(v) for v in (value if isinstance(value, (list, tuple)) else [value]))
        if not choices or not all(_STATUS.fullmatch(c) or c == "none" for c in choices):
            raise ValueError("a status is three digits (502), a class (5xx), none, or a list of these")
        return cls(choices)


@dataclass(frozen=True, slots=True)
class CountPattern:
    """A whole number, or a span of them, both ends included."""

    low: int
    high: int | None

    def matches(self, count: int) -> bool:
        """Whether a count lies in the span."""
        return self.low <= count and (self.high is None or count <= self.high)

    def __str__(self) -> str:
        if self.low == self.high:
            return str(self.low)
        return f"{self.low}.." if self.high is None else f"{self.low}..{self.high}"

    @classmethod
    def parse(cls, value: object) -> CountPattern:
        """From `3`, `"1..3"`, `"1.."` or `"..3"`. Raises ValueError."""
        if isinstance(value, CountPattern):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value, value)
        found = _COUNT.fullmatch(value) if isinstance(value, str) else None
        if found is None or not (found["low"] or found["high"]):
            raise ValueError("a count is a whole number (3) or a span of them (1..3, 1.., ..3)")
        low, high = int(found["low"] or 0), int(found["high"]) if found["high"] else None
        if high is not None and high < low:
            raise ValueError(f"the span {value} is empty; the smaller number stands first")
        return cls(low, high)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds, both ends included; `None` as its end is open."""

    low: float
    high: float | None

    def contains(self, seconds: float) -> bool:
        """Whether a time or a duration lies in the span."""
        return self.low <= seconds and (self.high is None or seconds <= self.high)

    def __str__(self) -> str:
        if self.low == self.high:
            return format_duration(self.low)
        return f"{format_duration(self.low)}..{'' if self.high is None else format_duration(self.high)}"

    @classmethod
    def parse(cls, value: object) -> Span:
        """From `"1s..10s"`, `"1s.."`, `"..10s"` or `"10s"`. Raises ValueError."""
        if isinstance(value, Span):
            return value
        if not isinstance(value, str) or ".." not in value:
            exact = parse_duration(value)
            return cls(exact, exact)
        first, _, last = value.partition("..")
        if not (first or last):
            raise ValueError("a span of time has at least one end, such as 1s..10s, 1s.. or ..10s")
        low, high = parse_duration(first) if first else 0.0, parse_duration(last) if last else None
        if high is not None and high < low:
            raise ValueError(f"the span {value} is empty; the smaller end stands first")
        return cls(low, high)


@dataclass(frozen=True, slots=True)
class TextPattern:
    """The whole of a text, a regular expression found in it (`/…/`), or only whether it is there."""

    text: str
    regex: re.Pattern[str] | None = None
    present: bool | None = None

    def matches(self, value: str | None) -> bool:
        """Whether a value (None: there is none) is as wanted."""
        if self.present is not None:
            return (value is not None) is self.present
        if value is None:
            return False
        return bool(self.regex.search(value)) if self.regex else value == self.text

    def __str__(self) -> str:
        if self.present is not None:
            return "present" if self.present else "absent"
        return f"/{self.text}/" if self.regex else f'"{self.text}"'

    @classmethod
    def parse(cls, value: object) -> TextPattern:
        """From text, `/regex/`, true or false, `{present: true}`, or a number (its digits). Raises ValueError."""
        if isinstance(value, TextPattern):
            return value
        if isinstance(value, dict) and list(value) == ["present"] and isinstance(value["present"], bool):
            value = value["present"]
        if isinstance(value, bool):
            return cls("", present=value)
        if isinstance(value, int):
            return cls(str(value))
        if not isinstance(value, str):
            raise ValueError("must be the text itself, /a regular expression/, or {present: true}")  # noqa: TRY004
        if len(value) > 1 and value.startswith("/") and value.endswith("/"):
            try:
                return cls(value[1:-1], re.compile(value[1:-1]))
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"is no regular expression: {error}") from error
        return cls(value)


@dataclass(frozen=True, slots=True)
class RetryAfterPattern:
    """`true` (there is one), `false` (there is none), or a span of time in which it must lie."""

    present: bool
    span: Span | None = None

    def matches(self, seconds: float | None) -> bool:
        """Whether a Retry-After of so many seconds (None: there is none) is as wanted."""
        if not self.present or seconds is None:
            return self.present is (seconds is not None)
        return self.span is None or self.span.contains(seconds)

    def __str__(self) -> str:
        return str(self.span) if self.span else ("present" if self.present else "absent")

    @classmethod
    def parse(cls, value: object) -> RetryAfterPattern:
        """From true, false, `present` or a span such as `1s..10s`. Raises ValueError."""
        if isinstance(value, RetryAfterPattern):
            return value
        if isinstance(value, bool):
            return cls(value)
        return cls(True) if value == "present" else cls(True, Span.parse(value))


_SPAN_SCHEMA = {"type": "string", "examples": ["6s..12s", "15s..", "..10s", "10s"]}

Status = Annotated[
    StatusPattern,
    PlainValidator(StatusPattern.parse),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 999},
                {"type": "string", "pattern": r"^([1-9](xx|[0-9]{2})|none)$"},
                {"type": "array", "minItems": 1, "items": {"type": ["integer", "string"]}},
            ],
        }
    ),
]
Count = Annotated[
    CountPattern,
    PlainValidator(CountPattern.parse),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0, "pattern": r"^[0-9]*\.\.[0-9]*$"}),
]
TimeSpan = Annotated[Span, PlainValidator(Span.parse), WithJsonSchema(_SPAN_SCHEMA)]
Text = Annotated[
    TextPattern,
    PlainValidator(TextPattern.parse),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "boolean", "integer"]},
                {
                    "type": "object",
                    "properties": {"present": {"type": "boolean"}},
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
RetryAfter = Annotated[
    RetryAfterPattern,
    PlainValidator(RetryAfterPattern.parse),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"const": "present"}, _SPAN_SCHEMA]}),
]
