from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.chain.lab import Lab
from badgateway.demo.stage import Result, Scene, Stage, run_demo
from badgateway.running.answer import Answer
from badgateway.terminal.sending import Sent
from tests.support.tracerecords import CHAIN, healthy, hung


class FaultStandIn:
    def __init__(self, fired: int) -> None:
        self.id, self.kind, self.fired, self.proof = "f-1", "hang", fired, "firing f-1.1" if fired else ""


class LabStandIn:
    """As much of a lab as a stage needs; its faults fire `fired` times."""

    fired = 1
    failure: str | None = None
    instances = ("app-1", "app-2")

    async def __aenter__(self) -> "LabStandIn":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def describe(self) -> dict[str, Any]:
        return {"nodes": CHAIN}

    async def set_fault(self, target: str, spec: Mapping[str, object]) -> FaultStandIn:
        return FaultStandIn(self.fired)

    async def faults(self) -> list[FaultStandIn]:
        return []

    async def state(self, name: str) -> dict[str, Any]:
        return {"accepted": {"app-1": 3, "app-2": 4}[name]}


class Notes:
    """A presenter that only notes."""

    def __init__(self) -> None:
        self.results: Sequence[Result] = ()
        self.begun: list[str] = []

    def opening(self, lab: Lab, nodes: Sequence[Mapping[str, Any]], seconds: float) -> None:
        return None

    def begin(self, number: int, count: int, scene: Scene) -> None:
        self.begun.append(f"{number}/{count} {scene.title}")

    def end(self, scene: Scene, result: Result) -> None:
        return None

    def closing(self, results: Sequence[Result], seconds: float) -> None:
        self.results = results


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> LabStandIn:
    lab = LabStandIn()

    async def start(*_: object, **__: object) -> LabStandIn:
        return lab

    monkeypatch.setattr(Lab, "start", start)
    return lab


def stage() -> Stage:
    return Stage(cast(Lab, LabStandIn()))


HUNG = Sent("GET", "/", Answer(status=504, elapsed=0.8), hung())


async def holds(stage: Stage) -> None:
    stage.check("something", True)


async def fails(stage: Stage) -> None:
    stage.check("something else", False, "nothing")


async def breaks(stage: Stage) -> None:
    raise EnvironmentProblem("lb is gone")


async def sets_a_fault(stage: Stage) -> None:
    await stage.fault("app", "hang")


async def test_all_held_is_0(lab: LabStandIn) -> None:
    notes = Notes()
    assert await run_demo([Scene("one", "", holds), Scene("two", "", sets_a_fault)], notes, None) == 0
    assert notes.begun == ["1/2 one", "2/2 two"]
    assert notes.results[1].proofs == ["f-1 hang: firing f-1.1"]


async def test_a_check_that_fails_is_1_and_the_other_scenes_are_played(lab: LabStandIn) -> None:
    notes = Notes()
    assert await run_demo([Scene("one", "", fails), Scene("two", "", holds)], notes, None) == 1
    assert [result.held for result in notes.results] == [False, True]


async def test_a_scene_that_cannot_be_played_did_not_hold(lab: LabStandIn) -> None:
    notes = Notes()
    assert await run_demo([Scene("one", "", breaks)], notes, None) == 1
    assert notes.results[0].checks[0].measured == "lb is gone"


async def test_a_chain_that_is_lost_is_no_failed_check(lab: LabStandIn) -> None:
    lab.failure = "the fork server is gone"
    with pytest.raises(EnvironmentProblem, match="the fork server is gone"):
        await run_demo([Scene("one", "", breaks), Scene("two", "", holds)], Notes(), None)


async def test_a_fault_that_never_fired_did_not_hold(lab: LabStandIn) -> None:
    lab.fired = 0
    notes = Notes()
    assert await run_demo([Scene("one", "", sets_a_fault)], notes, None) == 1
    assert [(check.what, check.measured) for check in notes.results[0].checks] == [
        ("hang really happened", "no firings")
    ]


def test_who_decided_is_checked_against_the_records_and_what_the_client_was_told() -> None:
    told = stage()
    told.decided(HUNG, 504, "lb", "http_response_timeout")
    # the stand-in's answer has no Proxy-Status, so what the client can read contradicts the records
    assert [check.held for check in told.result.checks] == [True, True, True, False]


def test_relaying_time_and_records_are_checked() -> None:
    told = stage()
    told.relayed(HUNG, "cdn", "lb")
    told.took(HUNG, 0.8, 1)
    told.took(HUNG, 0.9, 1)
    told.saw(HUNG, "proxy", "a hop that is not there", status=504)
    assert [(check.held, check.measured) for check in told.result.checks] == [
        (True, ""),
        (False, "generated True"),
        (True, "0.800 s"),
        (False, "0.800 s"),
        (False, "no record of proxy"),
    ]


async def test_accepted_connections_are_added_up() -> None:
    assert await stage().accepted() == 7


def test_the_request_that_is_shown_is_the_last_one() -> None:
    result = Result()
    assert result.shown is None
    result.sent += [Sent("GET", "/1", Answer(status=200), healthy()), HUNG]
    assert result.shown is HUNG
