"""What active checks make of an endpoint: healthy or not, by rise and fall. Pure."""

from __future__ import annotations

from badgateway_proxy.configuration.health_settings import HealthSettings


class CheckedHealth:
    """One endpoint's checks. Healthy until the first check, which decides alone, as with HAProxy and Envoy.

    After that ``fall`` failures in a row make it unhealthy, ``rise`` passes in a row healthy again; but the first
    pass of all does at once, so that a hop may start before its endpoints do.
    """

    __slots__ = ("_passed", "_streak", "healthy", "last")

    def __init__(self) -> None:
        self.healthy = True
        self.last: str | None = None
        """What came of the last check, in words; None before the first."""
        self._passed = False
        self._streak = 0

    def observe(self, settings: HealthSettings, passed: bool, words: str) -> bool:
        """Take in one check. Returns whether it changed the endpoint's health."""
        first = self.last is None or (passed and not self._passed)
        self.last = words
        self._passed = self._passed or passed
        if passed is self.healthy:
            self._streak = 0
            return False
        self._streak += 1
        if not first and self._streak < (settings.rise if passed else settings.fall):
            return False
        self.healthy = passed
        self._streak = 0
        return True
