"""Every scenario file is a test: it runs in a chain of its own, and holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from badgateway.lab import Lab
from badgateway.runner import run_scenario
from badgateway.scenario import load_scenario, parse_scenario

ROOT = Path(__file__).parents[2] / "scenarios"
FILES = sorted(ROOT.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}/{path.stem}" for path in FILES])
async def test_a_scenario_holds(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.id == f"{path.parent.name}/{path.stem}", "it lies in the directory of its code"
    result = await run_scenario(scenario, Lab.start)
    assert result.failures() == []
    assert result.held
    assert result.duration < 10


@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}/{path.stem}" for path in FILES])
def test_a_scenario_teaches_something(path: Path) -> None:
    scenario = load_scenario(path)
    lesson = scenario.lesson
    assert all([scenario.story, scenario.causes, lesson.predict, lesson.explain, lesson.debug, lesson.fix])


async def test_traffic_through_a_real_chain_is_judged_by_windows() -> None:
    scenario = parse_scenario(
        """\
title: The app hangs under load
code: 504
chain:
  cdn: {breaker: {enabled: false}}
  lb: {timeouts: {first_byte: 200ms}, breaker: {enabled: false}}
traffic:
  - {for: 2500ms, rate: 60/s, arrivals: poisson, path: /products}
timeline:
  - {at: 800ms, target: app, fault: hang}
  - {at: 1600ms, clear: hang}
expect:
  - {during: ..700ms, that: "share(status=200, decided_by=app) == 100%"}
  - {during: 900ms..1300ms, that: "share(status=504, decided_by=lb, error=http_response_timeout) > 95%"}
  - {during: 900ms..1300ms, that: min >= 200ms}
  - {after: 2s, that: share(status=200) == 100%}
"""
    )
    result = await run_scenario(scenario, Lab.start)
    assert result.failures() == []
    assert result.faults[0].fired > 10
