"""Compares what is expected of alerts with when they fired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from badgateway.alerting.evaluation import Firing
from badgateway.inputs.patterns import Span
from badgateway.running.results import Check
from badgateway.scenario.traffic import AlertsExpectation


def check_alerts(expected: AlertsExpectation, fired: Sequence[Firing], window: Span, *, shown: bool) -> Iterator[Check]:
    """A check for each alert that is named; `window` is in the seconds of the firings.

    `shown`: whether there were records at all. Without any, silence shows nothing, and does not hold.
    """
    for name in expected.fired:
        seen = _in_window(name, fired, window)
        yield Check(f"alert {name}", "to fire", seen or "silent", bool(seen))
    for name in expected.silent:
        seen = _in_window(name, fired, window)
        silent = "silent" if shown else "no requests were recorded"
        yield Check(f"alert {name}", "to be silent", seen or silent, shown and not seen)


def _in_window(name: str, fired: Sequence[Firing], window: Span) -> str:
    """When it fired in the window, by hop; empty if it did not."""
    high = float("inf") if window.high is None else window.high
    inside = [f for f in fired if f.alert == name and f.since <= high and f.until > window.low]
    return ", ".join(f"fired at {f.hop} from {f.since:.2f}s to {f.until:.2f}s" for f in inside)
