"""What a circuit breaker remembers of past calls. Both windows add in O(1) with running totals."""

from __future__ import annotations

from typing import Final

Totals = tuple[int, int, int]
"""(calls, failures, slow calls). A call can be both failed and slow."""

_BUCKETS: Final = 60


class CountedCalls:
    """The last ``size`` calls: a ring, one byte a call."""

    __slots__ = ("_calls", "_failures", "_next", "_ring", "_size", "_slow")

    def __init__(self, size: int) -> None:
        self._size = size
        self._ring = bytearray(size)
        self._next = self._calls = self._failures = self._slow = 0

    def add(self, failed: bool, slow: bool, now: float) -> Totals:
        """Count a call, forget the oldest if there are too many, return the totals. ``now`` is not used."""
        index = self._next
        ring = self._ring
        if self._calls == self._size:
            old = ring[index]
            if old:
                self._failures -= old & 1
                self._slow -= old >> 1
        else:
            self._calls += 1
        if failed or slow:
            ring[index] = failed | slow << 1
            self._failures += failed
            self._slow += slow
        else:
            ring[index] = 0
        index += 1
        self._next = 0 if index == self._size else index
        return self._calls, self._failures, self._slow

    def totals(self, now: float) -> Totals:
        """The totals as they are. ``now`` is not used."""
        return self._calls, self._failures, self._slow


class TimedCalls:
    """The calls of the last ``size`` seconds, in 60 buckets; the oldest bucket goes as a new one begins.

    A call therefore counts for between 59/60 of ``size`` and all of it.
    """

    __slots__ = ("_buckets", "_calls", "_failures", "_slow", "_tick", "_width")

    def __init__(self, size: float) -> None:
        self._width = size / _BUCKETS
        self._buckets = [[0, 0, 0] for _ in range(_BUCKETS)]
        self._tick = -1
        self._calls = self._failures = self._slow = 0

    def add(self, failed: bool, slow: bool, now: float) -> Totals:
        """Count a call that ended at ``now`` (seconds), forget the old ones, and return the totals."""
        self._move(now)
        bucket = self._buckets[self._tick % _BUCKETS]
        bucket[0] += 1
        self._calls += 1
        if failed:
            bucket[1] += 1
            self._failures += 1
        if slow:
            bucket[2] += 1
            self._slow += 1
        return self._calls, self._failures, self._slow

    def totals(self, now: float) -> Totals:
        """The totals at ``now``."""
        self._move(now)
        return self._calls, self._failures, self._slow

    def _move(self, now: float) -> None:
        tick = int(now / self._width)
        if tick <= self._tick:
            return
        for expired in range(max(self._tick + 1, tick - _BUCKETS + 1), tick + 1):
            bucket = self._buckets[expired % _BUCKETS]
            self._calls -= bucket[0]
            self._failures -= bucket[1]
            self._slow -= bucket[2]
            bucket[:] = (0, 0, 0)
        self._tick = tick
