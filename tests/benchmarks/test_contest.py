"""Readings of proxies that take turns: how they become ratios, what is missing to take them."""

from collections.abc import Callable

import pytest

from benchmarks import caching, contest, machine, throughput
from benchmarks.contest import Reading
from benchmarks.figures import QUICK, Effort, Figure, NotMeasurableError
from benchmarks.wrk import Load


def reading(rate: float, cpu_seconds: float = 4.0) -> Reading:
    return Reading(Load(round(rate * 4), 4.0, rate, 0.001, 0.002, 0), cpu_seconds)


def test_ratios_are_taken_round_by_round() -> None:
    readings = {"hop": [reading(20_000), reading(30_000)], "nginx": [reading(50_000), reading(60_000)]}
    assert contest.ratio(readings, "hop", "nginx") == pytest.approx([0.4, 0.5])


def test_cost_and_busyness() -> None:
    one = reading(20_000, cpu_seconds=2.0)
    assert one.cost == pytest.approx(25e-6)
    assert one.busy == pytest.approx(0.5)


@pytest.mark.parametrize("measure", [throughput.measure, caching.measure])
def test_what_is_missing_is_named(measure: Callable[[Effort], Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_tool", lambda name: None if name == "wrk" else "/usr/sbin/nginx")
    with pytest.raises(NotMeasurableError, match="wrk missing; on Debian: apt-get install"):
        measure(QUICK)
