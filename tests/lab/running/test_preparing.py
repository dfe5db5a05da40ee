from typing import Any, cast

import pytest

from badgateway.running.labview import LabLike
from badgateway.running.preparing import before_the_client, preparation_of
from badgateway.scenario.model import parse_scenario
from badgateway.scenario.steps import step_title

HEAD = "title: T\ncode: 502\nsteps:\n"


@pytest.mark.parametrize(
    ("steps", "done"),
    [
        (["request: GET /", "fault: {target: app, kind: hang}", "request: GET /"], ["fault hang at app"]),
        (
            [
                "patch: {lb: {retry: {attempts: 2}}}",
                "request: GET /",
                "stop: app-1",
                "request: GET /",
                "restart: app-1",
            ],
            ["patch lb", "stop app-1"],
        ),
        (
            [
                "fault: {target: app, kind: hang}",
                "request: GET /",
                "patch: {lb: {retry: {attempts: 2}}}",
                "request: GET /",
            ],
            ["fault hang at app"],
        ),
        (
            ["fault: {target: app, kind: hang}", "pause: 10ms", "fault: {target: lb, kind: freeze}", "request: GET /"],
            ["fault hang at app", "pause 10ms", "fault freeze at lb"],
        ),
        (
            ["request: GET /", "breaker: {lb: force_open}\n    cause: true", "request: GET /", "breaker: {lb: reset}"],
            ["breaker of lb: force_open"],
        ),
        (["patch: {lb: {retry: {attempts: 2}}}", "request: GET /", "advance: 5s"], ["patch lb"]),
        (["request: GET /"], []),
        (["fault: {target: app, kind: hang}"], ["fault hang at app"]),
    ],
)
def test_what_stands_before_the_client(steps: list[str], done: list[str]) -> None:
    scenario = parse_scenario(HEAD + "".join(f"  - {step}\n" for step in steps))
    assert [step_title(step) for step in before_the_client(scenario.steps)] == done


async def test_it_is_done_to_the_lab_in_order() -> None:
    asked: list[Any] = []

    class StandIn:
        async def set_fault(self, target: str, spec: Any) -> None:
            asked.append((target, spec["kind"]))

        async def patch(self, hop: str, patch: Any) -> None:
            asked.append((hop, patch))

    steps = "  - patch: {lb: {retry: {attempts: 2}}}\n  - pause: 1ms\n  - fault: {target: app, kind: hang}\n"
    await preparation_of(parse_scenario(HEAD + steps))(cast(LabLike, StandIn()))
    assert asked == [("lb", {"retry": {"attempts": 2}}), ("app", "hang")]
