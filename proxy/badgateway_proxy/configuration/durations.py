"""Durations as people write them in configuration: ``250ms``, ``10s``, ``1.5s``, ``2m``, ``1h``.

A bare number is refused everywhere, because nobody can tell whether ``timeout: 30`` means seconds or
milliseconds, and a wrong guess is itself a classic cause of 504s.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS: Final[dict[str, Decimal]] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PATTERN: Final = r"[0-9]{1,15}(\.[0-9]{1,30})?(ms|s|m|h)"
_DURATION: Final = re.compile(_PATTERN)
_BARE_NUMBER: Final = re.compile(r"\s*-?[0-9]+(\.[0-9]+)?\s*")
LONGEST: Final = 8760 * 3600.0
"""The longest duration accepted: a year, in seconds. Longer ones are typing errors, and overflow timers."""


def parse_duration(text: object) -> float:
    """Return the seconds that ``text`` (``250ms``, ``10s``, ``1.5s``, ``2m``, ``1h``; ``0s`` too) stands for.

    Raises ``ValueError`` with a sentence that says how to write it right.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        # ValueError, not TypeError: pydantic reports the first as a problem of the field, the second escapes.
        raise ValueError("a duration needs a unit, such as 500ms or 10s")  # noqa: TRY004
    if not isinstance(text, str):
        raise ValueError(f"a duration is text such as 10s, not {type(text).__name__}")  # noqa: TRY004
    match = _DURATION.fullmatch(text)
    if match is None:
        if _BARE_NUMBER.fullmatch(text):
            raise ValueError("a duration needs a unit, such as 500ms or 10s")
        raise ValueError(f"{text[:40]!r} is no duration: write a number and ms, s, m or h, such as 500ms or 10s")
    unit = match[2]
    seconds = float(Decimal(text[: -len(unit)]) * _UNITS[unit])
    if seconds > LONGEST:
        raise ValueError("a duration is at most 8760h (a year)")
    return seconds


def format_duration(seconds: float) -> str:
    """Return text that ``parse_duration`` turns back into exactly ``seconds``, as short as reads well.

    Whole numbers are preferred over fractions (``250ms``, not ``0.25s``), then the shorter text.
    Raises ``ValueError`` for what is no duration: negative, infinite, not a number.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{seconds!r} is no duration")
    exact = Decimal(repr(float(seconds)))
    if exact == 0:
        return "0s"
    candidates = []
    for unit, factor in _UNITS.items():
        amount = exact / factor
        if amount * factor != exact or (unit == "ms" and amount >= 1000):
            continue
        digits = format(amount.normalize(), "f")
        candidates.append(("." in digits, len(digits) + len(unit), digits + unit))
    return min(candidates)[2]


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("this duration must be longer than 0s")
    return seconds


_SCHEMA: Final = {"type": "string", "pattern": f"^{_PATTERN}$", "examples": ["250ms", "10s", "2m"]}

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_SCHEMA),
]
"""Pydantic type: seconds as a float in Python, text such as ``10s`` in YAML and JSON. ``0s`` is allowed."""

PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
"""A `Duration` that must be longer than ``0s``."""
