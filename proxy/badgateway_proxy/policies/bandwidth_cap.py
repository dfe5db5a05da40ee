"""How much was sent in this period, and whether that is all that may be. Pure: time is a parameter."""

from __future__ import annotations

from badgateway_proxy.configuration.admission import BandwidthCapSettings


class BandwidthCap:
    """Counts bytes by period; the first begins at ``began``, in seconds of any clock that does not go back."""

    __slots__ = ("_began", "_used", "settings")

    def __init__(self, settings: BandwidthCapSettings, began: float) -> None:
        self.settings = settings
        self._began = began
        self._used = 0

    def count(self, size: int, now: float) -> None:
        """So many bytes were sent."""
        self._move_on(now)
        self._used += size

    def go_on_from(self, before: BandwidthCap) -> None:
        """Go on with the period, and the count, of a cap whose periods are as long."""
        self._began, self._used = before._began, before._used

    def used(self, now: float) -> int:
        """Bytes sent in this period."""
        self._move_on(now)
        return self._used

    def ends_in(self, now: float) -> float:
        """Seconds until this period ends."""
        self._move_on(now)
        return self._began + self.settings.period - now

    def is_used_up(self, now: float) -> bool:
        """Whether no more may be sent in this period."""
        return self.settings.bytes is not None and self.used(now) >= self.settings.bytes

    def _move_on(self, now: float) -> None:
        gone = (now - self._began) // self.settings.period
        if gone >= 1:
            self._began += gone * self.settings.period
            self._used = 0
