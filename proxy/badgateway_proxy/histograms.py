"""How long things took: counted into histograms as they end, by a few labels each. Pure; nothing is kept of any one.

The bounds are those that OpenTelemetry advises for `http.server.request.duration`
(https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets, in seconds; one more bucket holds what took longer."""

MOST: Final = 1000
"""Label sets that are told apart; what comes under further ones is counted under `None`."""

_Labels = TypeVar("_Labels", bound=Hashable)


class Histogram:
    """Durations under one set of labels: how many, their sum in seconds, and how many in each bucket."""

    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Each bucket as Prometheus has it: its upper bound, and how many took no longer."""
        below = 0
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), self.buckets, strict=True):
            below += number
            yield bound, below


class Durations(Generic[_Labels]):
    """A histogram for each set of labels."""

    __slots__ = ("by_labels",)

    def __init__(self) -> None:
        self.by_labels: dict[_Labels | None, Histogram] = {}

    def add(self, labels: _Labels, seconds: float) -> None:
        """Count one that took so long."""
        found = self.by_labels.get(labels)
        if found is None:
            found = self._begun(labels)
        found.count += 1
        found.total += seconds
        found.buckets[bisect_left(BOUNDS, seconds)] += 1

    def _begun(self, labels: _Labels | None) -> Histogram:
        if len(self.by_labels) >= MOST:
            labels = None
        return self.by_labels.setdefault(labels, Histogram())
