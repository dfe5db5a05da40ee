from __future__ import annotations

import pytest

from badgateway.running.counterproof import turn_round
from badgateway.running.results import Check, FaultResult, Outcome, ScenarioResult, StepResult
from badgateway.scenario.causes import causes_of, without
from badgateway.scenario.model import parse_scenario

TEXT = "title: t\ncode: 502\nsteps: [{fault: crash, target: app}, {request: GET /}]"
GONE = "fault crash at app (line 3)"


@pytest.mark.parametrize(
    ("outcome", "checked", "why", "becomes", "says"),
    [
        ("failed", False, "", "held", ""),
        ("held", True, "", "failed", f"holds without its cause ({GONE}), so it proves nothing"),
        ("failed", True, "", "failed", f"without its cause ({GONE}) a fault never fired, but no expectation failed"),
        ("failed", False, "took longer than 60 s", "failed", "took longer than 60 s"),
        ("environment", True, "lb died", "environment", "lb died"),
        ("invalid", True, "no such", "invalid", "no such"),
    ],
)
def test_only_an_expectation_that_failed_shows_anything(
    outcome: Outcome, checked: bool, why: str, becomes: str, says: str
) -> None:
    whole = parse_scenario(TEXT, file="s.yaml")
    step = StepResult(1, "request", "GET /", 3, checks=[Check("status", "502", "200", held=checked)])
    unfired = FaultResult("f-1", "app", "hang", 3)
    result = ScenarioResult(without(whole, causes_of(whole)), outcome, why, steps=[step], faults=[unfired])
    turn_round(result)
    assert (result.outcome, result.why) == (becomes, says)
    assert result.failures() == ([f"s.yaml: {says}"] if says else [])
    assert [str(problem) for problem in result.unmet] == (
        [] if checked else ["s.yaml:3: GET /: status: expected 502, measured 200"]
    )
