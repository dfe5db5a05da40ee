"""What an expression is worth over the requests of a window, with every value that was measured on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from badgateway.running.observations import Observation
from badgateway.scenario.expressions import (
    COMPARE,
    All,
    AnyOf,
    Comparison,
    Constant,
    Expression,
    Filter,
    Measure,
    Not,
    number_text,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an expression holds, and the measured values, as `(measure, value)` texts."""

    held: bool
    measured: tuple[tuple[str, str], ...] = ()
    why: str = ""
    """Why it cannot hold, where no value says so: `no requests matched`."""

    @property
    def text(self) -> str:
        """What was measured, in one line."""
        values = ", ".join(f"{name} = {value}" for name, value in self.measured)
        return "; ".join(part for part in (self.why, values) if part)


class _NothingMatched(Exception):
    """A measure has nothing to measure; the expectation then fails, whatever stands around it."""


def evaluate(expression: Expression, observations: Sequence[Observation], seconds: float) -> Verdict:
    """Evaluate over the requests of a window of that many seconds (which `rate` divides by).

    A window without requests, and a latency of requests of which there are none, fail with "no requests matched":
    also under `not`, because nothing was shown.
    """
    if not observations:
        return Verdict(held=False, why="no requests matched: there were none in this window")
    evaluation = _Evaluation(observations, seconds)
    try:
        held = evaluation.holds(expression)
    except _NothingMatched as nothing:
        return Verdict(held=False, measured=tuple(evaluation.measured.items()), why=f"no requests matched {nothing}")
    return Verdict(held, tuple(evaluation.measured.items()))


@dataclass(slots=True)
class _Evaluation:
    observations: Sequence[Observation]
    seconds: float
    measured: dict[str, str] = field(default_factory=dict)

    def holds(self, expression: Expression) -> bool:
        match expression:
            case Comparison(left, op, right):
                return COMPARE[op](self.value(left), self.value(right))
            case Not(part):
                return not self.holds(part)
            case All(parts):
                return all(self._each(parts))
            case AnyOf(parts):
                return any(self._each(parts))

    def _each(self, parts: Sequence[Expression]) -> list[bool]:
        """Every part's worth, also where one would settle it: a report then shows every value."""
        return [self.holds(part) for part in parts]

    def value(self, side: Measure | Constant) -> float:
        if isinstance(side, Constant):
            return side.value
        value = self.measure(side)
        self.measured[str(side)] = number_text(value, side.unit)
        return value

    def measure(self, measure: Measure) -> float:
        chosen = [o for o in self.observations if all(passes(f, o) for f in measure.filters)]
        if measure.name == "share":
            return len(chosen) / len(self.observations)
        if measure.name == "count":
            return float(len(chosen))
        if measure.name == "rate":
            return len(chosen) / self.seconds if self.seconds > 0 else 0.0
        latencies = sorted(o.latency for o in chosen)
        if not latencies:
            raise _NothingMatched(str(measure))
        if measure.name == "mean":
            return math.fsum(latencies) / len(latencies)
        rank = {"min": 0.0, "max": 100.0}.get(measure.name, measure.percentile or 0.0)
        return percentile(latencies, rank)


def percentile(ordered: Sequence[float], rank: float) -> float:
    """The nearest-rank percentile (0 to 100) of sorted values: always one that was really measured."""
    # 99.9 / 100 * 1000 is 999.0000000000001 in binary; rounding keeps that from becoming rank 1000
    index = math.ceil(round(rank / 100 * len(ordered), 9)) - 1
    return ordered[min(max(index, 0), len(ordered) - 1)]


def passes(chosen: Filter, seen: Observation) -> bool:
    """Whether one request passes one filter."""
    return _matches(chosen.key, chosen.value, seen) is not chosen.negated


def _matches(key: str, wanted: str, seen: Observation) -> bool:
    if key == "status" and wanted.endswith("xx"):
        return seen.status is not None and seen.status // 100 == int(wanted[0])
    if key == "path":
        path = seen.path.partition("?")[0]
        return path.startswith(wanted[:-1]) if wanted.endswith("*") else wanted in {path, seen.path}
    value = getattr(seen, key)
    if isinstance(value, bool):
        return value is (wanted == "true")
    return wanted == ("none" if value is None else str(value))
