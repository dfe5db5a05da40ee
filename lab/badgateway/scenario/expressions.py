"""The tree that an expectation over several requests is parsed into, and how it is written again."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from badgateway_proxy import format_duration

Unit = Literal["share", "number", "rate", "duration"]
Op = Literal["<", "<=", ">", ">=", "==", "!="]

COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    }
)
_BARE = re.compile(r"[A-Za-z_/][\w./*-]*|[0-9]+(xx)?")


@dataclass(frozen=True, slots=True)
class Filter:
    """`key=value` or `key!=value`."""

    key: str
    value: str
    negated: bool = False

    def __str__(self) -> str:
        value = self.value if _BARE.fullmatch(self.value) else f'"{self.value}"'
        return f"{self.key}{'!=' if self.negated else '='}{value}"


@dataclass(frozen=True, slots=True)
class Measure:
    """Something measured over the requests of a window, those that pass every filter."""

    name: str
    unit: Unit
    percentile: float | None = None
    filters: tuple[Filter, ...] = ()

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.filters))
        return f"{self.name}({inside})" if inside or self.unit != "duration" else self.name


@dataclass(frozen=True, slots=True)
class Constant:
    """A number with its unit; a share is 0 to 1, a duration seconds, a rate requests a second."""

    value: float
    unit: Unit
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure against one constant, either way round."""

    left: Measure | Constant
    op: Op
    right: Measure | Constant

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when its part does not."""

    part: Expression

    def __str__(self) -> str:
        return f"not {_inner(self.part)}"


@dataclass(frozen=True, slots=True)
class All:
    """`and`."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " and ".join(map(_inner, self.parts))


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`or`."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " or ".join(map(_inner, self.parts))


Expression = Comparison | Not | All | AnyOf


def _inner(part: Expression) -> str:
    return f"({part})" if isinstance(part, (All, AnyOf)) else str(part)


def measures(expression: Expression) -> Iterator[Measure]:
    """Every measure that an expression names."""
    match expression:
        case Comparison(left, _, right):
            yield from (side for side in (left, right) if isinstance(side, Measure))
        case Not(part):
            yield from measures(part)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from measures(part)


def number_text(value: float, unit: Unit) -> str:
    """A measured value as a message shows it: `96.4%`, `212ms`, `48.7/s`, `12`."""
    if unit == "share":
        return f"{value * 100:.4g}%"
    if unit == "duration":
        return format_duration(float(f"{max(value, 0):.3g}"))
    return f"{value:.4g}/s" if unit == "rate" else f"{value:g}"
