"""Which alerts fired when, over requests that were recorded: pure, every time is given.

Windows of hours are scaled down to seconds, so that a scenario of a few seconds shows what would take days; all of
them by the same factor, so that their proportions stay. Whatever shows a result says so (`SCALE_NOTE`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from badgateway.alerting.rules import Alert, Bad, Condition

SCALE: Final = 1200.0
"""An hour takes three seconds."""

SCALE_NOTE: Final = f"windows scaled down {SCALE:g} times: 1 h is 3 s, 5 min are 250 ms"

EVERY: Final = 60.0
"""Seconds between two evaluations, before scaling: Prometheus' default `evaluation_interval`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One exchange of one hop: when it ended, in seconds, and with which status (None: no response was sent)."""

    hop: str
    at: float
    status: int | None


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fired for a hop from `since` to `until`, in the samples' seconds."""

    alert: str
    hop: str
    since: float
    until: float


def samples_of(records: Iterable[Mapping[str, Any]], origin: float) -> list[Sample]:
    """The samples in exchange records; their times count from `origin`, in seconds since the epoch."""
    return [Sample(r["hop"], r["started"] + r["duration"] - origin, r["status"]) for r in records]


def firings(
    alerts: Iterable[Alert], samples: Iterable[Sample], *, until: float, scale: float = SCALE, every: float = EVERY
) -> list[Firing]:
    """Every time that an alert fired for some hop, evaluated each `every / scale` seconds from 0 to `until`.

    `scale` divides every window, and `every` with them.
    """
    by_hop: dict[str, list[Sample]] = {}
    for sample in samples:
        by_hop.setdefault(sample.hop, []).append(sample)
    found: list[Firing] = []
    for alert in alerts:
        for hop, seen in by_hop.items():
            series = _Series(seen, alert.bad)
            found += _spans(alert, hop, series, until, scale, every / scale)
    return sorted(found, key=lambda firing: (firing.since, firing.alert, firing.hop))


def _spans(alert: Alert, hop: str, series: _Series, until: float, scale: float, step: float) -> Iterator[Firing]:
    since: float | None = None
    for tick in range(int(until / step + 1e-9) + 1):
        now = tick * step
        fires = any(_holds(condition, alert.at_least, series, now, scale) for condition in alert.conditions)
        if fires and since is None:
            since = now
        elif not fires and since is not None:
            yield Firing(alert.name, hop, since, now)
            since = None
    if since is not None:
        yield Firing(alert.name, hop, since, until)


def _holds(condition: Condition, at_least: int, series: _Series, now: float, scale: float) -> bool:
    long, short = (series.window(now, seconds / scale) for seconds in (condition.long, condition.short))
    return long.bad >= at_least and long.share > condition.share and short.share > condition.share


@dataclass(frozen=True, slots=True)
class _Window:
    all: int
    bad: int

    @property
    def share(self) -> float:
        return self.bad / self.all if self.all else 0.0


class _Series:
    """The samples of one hop, in order, so that a window is two look-ups."""

    def __init__(self, samples: Sequence[Sample], bad: Bad) -> None:
        ordered = sorted(samples, key=lambda sample: sample.at)
        self._times = [sample.at for sample in ordered]
        self._bad = [0, *accumulate(int(bad.matches(sample.status)) for sample in ordered)]

    def window(self, now: float, seconds: float) -> _Window:
        """What ended in the `seconds` up to and including `now`; the older end is outside."""
        first, last = bisect_right(self._times, now - seconds), bisect_right(self._times, now)
        return _Window(last - first, self._bad[last] - self._bad[first])
