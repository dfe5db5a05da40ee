"""Results as a run leaves them, for the tests of what reports make of them."""

from __future__ import annotations

from typing import Any

from badgateway.running.answer import Answer
from badgateway.running.observations import Observation
from badgateway.running.results import (
    Check,
    Example,
    FaultResult,
    Moment,
    ScenarioResult,
    Seen,
    StepResult,
    WindowResult,
)
from badgateway.scenario.model import parse_scenario
from tests.support.tracerecords import hung


def result(name: str = "a", code: int = 502, **more: Any) -> ScenarioResult:
    text = f"title: T <&> \u2028\ncode: {code}\nsteps: [{{request: GET /}}]"
    return ScenarioResult(parse_scenario(text, file=f"x/{name}.yaml"), started=1_763_888_888.0, duration=1.5, **more)


def failed() -> ScenarioResult:
    answer = Answer(status=200, headers=(("X-A", "\x07é"),), body=b"\x00\xff<b>", elapsed=0.1)
    step = StepResult(
        0, "request", "GET /", 3, checks=[Check("status", "502", "200\x00\ufffe\x1b", held=False)], requests=1
    )
    step.seen = Seen(answer)
    window = WindowResult(0, 9, "1s..", 5, Check("p95 < 1s", "to hold", "p95 = 2s", held=False))
    fault = FaultResult("f-1", "app", "crash", 4)
    seen = [Observation(0, 0, 0.1 * n, status=200) for n in range(1, 5)] + [Observation(0, 0, 9, failure="reset")]
    return result("b", outcome="failed", steps=[step], windows=[window], faults=[fault], observations=seen)


ALL = [
    result("a"),
    failed(),
    result("c", 504, outcome="environment", why="port taken"),
    result("d", 504, outcome="invalid", why="refused"),
    result("e", 503, outcome="skipped", why="an earlier one"),
]


def loaded() -> ScenarioResult:
    """A run with traffic, of which a third hung."""
    text = (
        "title: T\ncode: 504\ntraffic: [{for: 3s, rate: 10/s}]\n"
        "expect: [{during: 1s..2s, that: 'share(status=504) > 50%'}]"
    )
    seen = [
        Observation(n / 10, n / 10, n / 10 + (0.5 if 10 <= n < 20 else 0.01), status=504 if 10 <= n < 20 else 200)
        for n in range(30)
    ]
    check = Check("share(status=504) > 50%", "to hold", "share(status=504) = 100%", held=True)
    return ScenarioResult(
        parse_scenario(text, file="x/l.yaml"),
        started=1_763_888_888.0,
        duration=3.0,
        windows=[WindowResult(0, 4, "1s..2s", 10, check)],
        observations=seen,
        moments=[Moment(1.0, "fault hang at app", 5, 2.0)],
        examples=[Example(seen[10], hung())],
    )
