"""Passive health checks: an endpoint whose requests fail is ejected for a while. Pure: ``now`` is a parameter.

Envoy's outlier detection
(https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier), except that here

* an ejection ends when its time is over, not at the first sweep after that;
* what enforcing_* percentages say is all or nothing: a threshold of 0 turns a detector off;
* one endpoint may always be ejected, whatever max_ejection_percent says (Envoy: always_eject_one_host);
* when local origin errors are split off they have no success rate of their own;
* a successful active check does not end an ejection: it may ask for something else than the requests did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from badgateway_proxy.configuration.health_settings import OutlierSettings
from badgateway_proxy.error_types import ERROR_TABLE, ErrorType
from badgateway_proxy.policies.balancer import EndpointState


class Result(StrEnum):
    """How an attempt ended, as far as it says something about its endpoint."""

    SUCCESS = "success"
    SERVER_ERROR = "server error"
    GATEWAY_FAILURE = "gateway failure"
    LOCAL_ORIGIN_FAILURE = "local origin failure"


class Cause(StrEnum):
    """What ejects: Envoy's names of the detectors."""

    CONSECUTIVE_5XX = "consecutive_5xx"
    CONSECUTIVE_GATEWAY_FAILURE = "consecutive_gateway_failure"
    CONSECUTIVE_LOCAL_ORIGIN_FAILURE = "consecutive_local_origin_failure"
    SUCCESS_RATE = "success_rate"


_SUCCESS, _SERVER_ERROR = Result.SUCCESS, Result.SERVER_ERROR
_GATEWAY, _LOCAL = Result.GATEWAY_FAILURE, Result.LOCAL_ORIGIN_FAILURE

#: Errors that are an answer of the endpoint's: it sent something, and it was no good. All others that tell against
#: an endpoint are failures to get an answer, which the hop found by itself ("locally originated").
_ANSWERED: Final = frozenset(error for error in ErrorType if error.value.startswith("http_")) - {
    ErrorType.HTTP_RESPONSE_TIMEOUT
}

_OF_ERROR: Final[Mapping[ErrorType, Result]] = MappingProxyType(
    {error: _GATEWAY if error in _ANSWERED else _LOCAL for error, info in ERROR_TABLE.items() if info.breaker}
)


def result_of(error: ErrorType | None, status: int | None) -> Result | None:
    """What an attempt says that ended in ``error``, or with ``status`` from the endpoint; None: nothing."""
    if error is not None:
        return _OF_ERROR.get(error)
    if status is None:
        return None
    if status < 500:
        return _SUCCESS
    return _GATEWAY if status in (502, 503, 504) else _SERVER_ERROR


class _History:
    """What is remembered of one endpoint."""

    __slots__ = (
        "consecutive_5xx", "consecutive_gateway", "consecutive_local", "ejections", "multiplier", "successes",
        "total", "until", "why",
    )  # fmt: skip

    def __init__(self) -> None:
        self.ejections = 0
        """How often it was ejected."""
        self.multiplier = 0
        """By how much the next ejection but one is longer than the base time: one more for each ejection, one less
        for each interval without."""
        self.until = 0.0
        self.why: Cause | None = None
        self.forget()

    def forget(self) -> None:
        self.consecutive_5xx = self.consecutive_gateway = self.consecutive_local = 0
        self.successes = self.total = 0


Listener = Callable[[EndpointState, "Cause | None"], None]
"""Called when an endpoint is ejected (and why), and when it is back (None)."""


class OutlierDetector:
    """Watches the endpoints of one hop. Sets their ``ejected`` and ``since``, and tells the listener."""

    def __init__(self, settings: OutlierSettings, listener: Listener, now: float) -> None:
        self._listener = listener
        self._histories: dict[EndpointState, _History] = {}
        self._ejected = 0
        self._sweep_at = now + settings.interval
        self._settings = settings
        self.due = self._sweep_at
        """When `look` has something to do; call it then, or later."""

    def configure(self, settings: OutlierSettings, now: float) -> None:
        """Go on with other settings; who is ejected stays so for as long as it was to be."""
        self._settings = settings
        self._sweep_at = min(self._sweep_at, now + settings.interval)
        self._plan()

    def watch(self, endpoints: Iterable[EndpointState]) -> None:
        """Watch these, and no others; what is remembered of those that stay, is."""
        self._histories = {each: self._histories.get(each) or _History() for each in endpoints}
        self._ejected = sum(each.ejected for each in self._histories)
        self._plan()

    def report(self, endpoint: EndpointState, error: ErrorType | None, status: int | None, now: float) -> None:
        """Say how an attempt ended: see `result_of`. One at an endpoint that is not watched any more is ignored."""
        history = self._histories.get(endpoint)
        result = result_of(error, status)
        if history is None or result is None:
            return
        settings = self._settings
        local_only = result is _LOCAL and settings.split_external_local_origin_errors
        if not local_only:
            history.total += 1
        if result is _SUCCESS:
            history.successes += 1
            history.consecutive_5xx = history.consecutive_gateway = history.consecutive_local = 0
            return
        why = _counted_locally(history, settings) if local_only else _counted(history, result, settings)
        if why is not None:
            self._eject(endpoint, history, why, now)

    def look(self, now: float) -> None:
        """Let back whose time is over; once an interval compare success rates, and forgive."""
        interval = self._settings.interval
        sweeps = 0
        if now >= self._sweep_at:
            sweeps = int((now - self._sweep_at) / interval) + 1
            self._sweep_at += sweeps * interval
        for endpoint, history in self._histories.items():
            if not endpoint.ejected:
                history.multiplier = max(0, history.multiplier - sweeps)
            elif now >= history.until:
                self._let_back(endpoint, history, now)
                history.multiplier = max(0, history.multiplier - int((now - history.until) / interval))
        if sweeps:
            self._compare(now)
        self._plan()

    def until(self, endpoint: EndpointState) -> float | None:
        """When an ejected endpoint is back; None for one that is not out."""
        return self._histories[endpoint].until if endpoint.ejected else None

    def snapshot(self, endpoint: EndpointState, now: float) -> dict[str, Any]:
        """What is remembered of an endpoint, as JSON. Times in seconds."""
        history = self._histories[endpoint]
        out = endpoint.ejected
        return {
            "ejections": history.ejections,
            "ejected_for": round(max(0.0, history.until - now), 3) if out else None,
            "ejected_by": history.why.value if out and history.why else None,
            "consecutive_5xx": history.consecutive_5xx,
            "consecutive_gateway_failure": history.consecutive_gateway,
            "consecutive_local_origin_failure": history.consecutive_local,
        }

    def clear(self, now: float) -> None:
        """Let everybody back and forget everything."""
        for endpoint, history in self._histories.items():
            if endpoint.ejected:
                self._let_back(endpoint, history, now)
        self.watch(())

    def _eject(self, endpoint: EndpointState, history: _History, why: Cause, now: float) -> None:
        settings = self._settings
        share = 100 * (self._ejected + 1)
        if endpoint.ejected or (self._ejected and share > settings.max_ejection_percent * len(self._histories)):
            return
        # Beyond what reaches the longest time a larger multiplier would only take longer to be forgiven.
        if settings.base_ejection_time * history.multiplier < settings.max_ejection_time:
            history.multiplier += 1
        history.ejections += 1
        history.until = now + min(settings.base_ejection_time * history.multiplier, settings.max_ejection_time)
        history.why = why
        endpoint.ejected = True
        self._ejected += 1
        self._plan()
        self._listener(endpoint, why)

    def _let_back(self, endpoint: EndpointState, history: _History, now: float) -> None:
        history.forget()
        endpoint.ejected = False
        endpoint.since = now
        self._ejected -= 1
        self._listener(endpoint, None)

    def _compare(self, now: float) -> None:
        settings = self._settings.success_rate
        rates = {
            endpoint: 100 * history.successes / history.total
            for endpoint, history in self._histories.items()
            if history.total >= settings.request_volume and not endpoint.ejected
        }
        for history in self._histories.values():
            history.successes = history.total = 0
        if not settings.minimum_hosts or len(rates) < settings.minimum_hosts:
            return
        mean = sum(rates.values()) / len(rates)
        deviation = math.sqrt(sum((rate - mean) ** 2 for rate in rates.values()) / len(rates))
        threshold = mean - settings.stdev_factor * deviation
        for endpoint, rate in rates.items():
            if rate < threshold:
                self._eject(endpoint, self._histories[endpoint], Cause.SUCCESS_RATE, now)

    def _plan(self) -> None:
        ends = [history.until for endpoint, history in self._histories.items() if endpoint.ejected]
        self.due = min(self._sweep_at, *ends) if ends else self._sweep_at


def _counted(history: _History, result: Result, settings: OutlierSettings) -> Cause | None:
    """Count a failure among all others. Returns which detector it sets off, whose counting then begins anew."""
    if result is not _LOCAL:
        history.consecutive_local = 0  # there was an answer
    history.consecutive_5xx += 1
    history.consecutive_gateway = 0 if result is _SERVER_ERROR else history.consecutive_gateway + 1
    if settings.consecutive_5xx and history.consecutive_5xx >= settings.consecutive_5xx:
        history.consecutive_5xx = 0
        return Cause.CONSECUTIVE_5XX
    if settings.consecutive_gateway_failure and history.consecutive_gateway >= settings.consecutive_gateway_failure:
        history.consecutive_gateway = 0
        return Cause.CONSECUTIVE_GATEWAY_FAILURE
    return None


def _counted_locally(history: _History, settings: OutlierSettings) -> Cause | None:
    """Count a failure to get an answer where these are split off."""
    history.consecutive_local += 1
    threshold = settings.consecutive_local_origin_failure
    if not threshold or history.consecutive_local < threshold:
        return None
    history.consecutive_local = 0
    return Cause.CONSECUTIVE_LOCAL_ORIGIN_FAILURE
