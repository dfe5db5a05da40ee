"""The clock that schedules read: monotonic seconds, which a lab can advance. Sockets keep real time."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Monotonic seconds plus an offset that only grows, until `reset`.

    The end of a fault is read off this clock, so that a scenario can skip an hour; pauses and drips on
    sockets do not. ``source`` returns monotonic seconds; tests pass one that stands still.
    """

    __slots__ = ("_source", "offset")

    def __init__(self, source: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self.offset = 0.0

    def now(self) -> float:
        """Seconds since an arbitrary start; meaningful only in differences."""
        return self._source() + self.offset

    def advance(self, seconds: float) -> float:
        """Skip ``seconds`` ahead and return the whole offset. Raises ``ValueError`` for a step backwards."""
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"a clock cannot advance by {seconds!r} seconds")
        self.offset += seconds
        return self.offset

    def reset(self) -> None:
        """Back to real time. Whoever resets must also reset what measured with this clock."""
        self.offset = 0.0
