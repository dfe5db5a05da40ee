"""A limit on requests under way that finds itself. Pure: it is told how long each request took, and what time it is.

The idea is TCP's: what takes longer than it need has been waiting in somebody's queue, so send less. Two algorithms:
Envoy's gradient controller (https://www.envoyproxy.io, adaptive concurrency filter) and AIMDLimit of Netflix's
concurrency-limits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final

from badgateway_proxy.configuration.upstream_limits import AdaptiveConcurrencySettings

_MOST_SAMPLES: Final = 10_000
"""Times kept of one interval; so many speak for all the others."""


class AdaptiveLimit(ABC):
    """How many requests may be under way."""

    def __init__(self, settings: AdaptiveConcurrencySettings) -> None:
        self.settings = settings
        self._estimate = float(settings.initial_limit)

    @property
    def limit(self) -> int:
        """The limit now."""
        return int(self._estimate)

    @abstractmethod
    def sample(self, took: float, now: float, *, in_flight: int, dropped: bool) -> None:
        """A request is over.

        Args:
            took: how long the upstream took for its response, in seconds.
            now: the time, in seconds of a clock that does not go back.
            in_flight: how many requests were under way when it began, itself included.
            dropped: whether it failed because there was too much to do: a timeout, a refusal.
        """

    def _set(self, estimate: float) -> None:
        self._estimate = min(max(estimate, float(self.settings.min_limit)), float(self.settings.max_limit))


class AimdLimit(AdaptiveLimit):
    """Additive increase, multiplicative decrease."""

    def sample(self, took: float, now: float, *, in_flight: int, dropped: bool) -> None:
        if dropped or took > self.settings.latency:
            self._set(self._estimate * self.settings.backoff_ratio)
        elif in_flight * 2 >= self._estimate:  # else it is not the limit that holds requests back
            self._set(self._estimate + 1)


class GradientLimit(AdaptiveLimit):
    """The limit follows the ratio of the time that requests take at their fastest to the time that they take now.

    To measure the fastest it lets only `min_limit` requests through for a while, first of all and then now and again.
    """

    def __init__(self, settings: AdaptiveConcurrencySettings) -> None:
        super().__init__(settings)
        self._fastest: float | None = None
        self._times: list[float] = []
        self._began = 0.0
        """When this interval, or this measuring, began: what was sent before does not count in it."""
        self._measured = 0.0

    @property
    def limit(self) -> int:
        """The limit now; the least there is while it measures."""
        return super().limit if self._fastest is not None else self.settings.min_limit

    def sample(self, took: float, now: float, *, in_flight: int, dropped: bool) -> None:
        settings, times = self.settings, self._times
        if self._fastest is None:
            if now - took >= self._began:
                times.append(took)
            if len(times) >= settings.min_rtt_requests:
                self._fastest = self._take_times(now)
                self._measured = now
            return
        if len(times) < _MOST_SAMPLES:
            times.append(took)
        if now - self._measured >= settings.min_rtt_interval:
            self._take_times(now)
            self._fastest = None
        elif now - self._began >= settings.update_interval:
            self._update(self._fastest, self._take_times(now))

    def _update(self, fastest: float, usual: float) -> None:
        allowed = fastest * (1 + self.settings.buffer / 100)
        gradient = min(max(allowed / usual, 0.5), 2.0) if usual > 0 else 2.0
        lowered = self._estimate * gradient
        # room for a burst, without which it could not find out that there is more to be had
        self._set(lowered + math.sqrt(lowered))

    def _take_times(self, now: float) -> float:
        """The percentile of the interval's times, and begin another interval."""
        times = sorted(self._times)
        self._times, self._began = [], now
        return times[min(len(times) - 1, int(len(times) * self.settings.percentile / 100))]


def adaptive_limit(settings: AdaptiveConcurrencySettings) -> AdaptiveLimit | None:
    """The limit that the settings ask for; None for none."""
    match settings.algorithm:
        case "off":
            return None
        case "aimd":
            return AimdLimit(settings)
        case "gradient":
            return GradientLimit(settings)
