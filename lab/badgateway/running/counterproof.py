"""The counterproof: a scenario whose cause was taken out must fail, or it would hold whatever happens."""

from __future__ import annotations

from badgateway.running.results import ScenarioResult


def turn_round(result: ScenarioResult) -> None:
    """Judge a run without a cause: what failed has held, and what held has failed.

    Only an expectation that failed counts. Neither a deadline nor the machine's own trouble shows anything.
    """
    if result.outcome == "held":
        result.outcome = "failed"
        result.why = f"holds without its cause ({result.scenario.without}), so it proves nothing"
    elif result.outcome == "failed" and result.unmet and not result.why:
        result.outcome = "held"
    elif result.outcome == "failed" and not result.why:
        result.why = f"without its cause ({result.scenario.without}) a fault never fired, but no expectation failed"
