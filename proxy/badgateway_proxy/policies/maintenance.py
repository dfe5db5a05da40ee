"""Planned maintenance: when it is over. Pure: time is a parameter."""

from __future__ import annotations

from badgateway_proxy.configuration.admission import MaintenanceSettings


class Maintenance:
    """Maintenance that was switched on at ``began``, in seconds of any clock."""

    __slots__ = ("_ends", "settings")

    def __init__(self, settings: MaintenanceSettings, began: float) -> None:
        self.settings = settings
        self._ends = began + settings.lasts

    def retry_after(self, now: float) -> float:
        """Seconds until it is expected to be over. Never none: while it is on, nobody should come back at once."""
        left = self._ends - now
        return left if left > 0 else self.settings.overrun
