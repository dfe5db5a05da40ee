"""Every scenario file is a test: it holds in a chain of its own, and it fails when what it is about is taken out."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from badgateway.chain.lab import Lab
from badgateway.processes.forkserver import ForkServer
from badgateway.running.labview import LabFactory
from badgateway.running.results import ScenarioResult
from badgateway.running.runner import run_scenario
from badgateway.scenario.model import Scenario, load_scenario
from badgateway.scenario.steps import FaultStep, StopStep
from tests.support.processes import left_of

# One event loop for the module, because a fork server belongs to one; under xdist each worker has its own.
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2] / "scenarios"
FILES = sorted(ROOT.rglob("*.yaml"))
LONGEST = 10.0
"""Seconds that one scenario may take."""

Cause = FaultStep | StopStep


def causes(scenario: Scenario) -> Iterator[Cause]:
    """What a scenario does to its chain: the faults that it sets, and the processes that it stops."""
    for step in (*scenario.steps, *(moment.action for moment in scenario.timeline)):
        if isinstance(step, FaultStep | StopStep):
            yield step


def without(scenario: Scenario, taken_out: Callable[[Cause], bool]) -> Scenario:
    """The scenario without some of its causes. Its configuration changes and expectations stay."""

    def stays(step: object) -> bool:
        return not (isinstance(step, FaultStep | StopStep) and taken_out(step))

    steps = [step for step in scenario.steps if stays(step)]
    timeline = [moment for moment in scenario.timeline if stays(moment.action)]
    return scenario.model_copy(update={"steps": steps, "timeline": timeline})


def name_of(cause: Cause) -> str:
    return cause.fault.kind if isinstance(cause, FaultStep) else f"stop-{cause.stop}"


by_file = pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}/{path.stem}" for path in FILES])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def start_lab() -> AsyncIterator[LabFactory]:
    forkserver = ForkServer.launch()
    try:
        yield functools.partial(Lab.start, forkserver=forkserver)
    finally:
        await forkserver.close()
    assert left_of(forkserver.run_id) == []


@by_file
async def test_a_scenario_holds(path: Path, start_lab: LabFactory) -> None:
    result = await run_scenario(load_scenario(path), start_lab)
    assert result.failures() == []
    assert result.exit_code == 0
    assert result.duration < LONGEST


@by_file
async def test_a_scenario_fails_without_its_cause(path: Path, start_lab: LabFactory) -> None:
    scenario = load_scenario(path)
    assert list(causes(scenario))
    expect_failed(await run_scenario(without(scenario, lambda cause: True), start_lab))


def each_cause() -> Iterator[Any]:
    """Every cause of the scenarios that have several: a part that holds without its own fault shows nothing."""
    for path in FILES:
        several = list(causes(load_scenario(path)))
        if len(several) > 1:
            for number, cause in enumerate(several):
                yield pytest.param(path, number, id=f"{path.parent.name}/{path.stem}-{number + 1}-{name_of(cause)}")


@pytest.mark.parametrize(("path", "number"), list(each_cause()))
async def test_a_scenario_fails_without_any_one_of_its_causes(path: Path, number: int, start_lab: LabFactory) -> None:
    scenario = load_scenario(path)
    chosen = list(causes(scenario))[number]
    expect_failed(await run_scenario(without(scenario, lambda cause: cause is chosen), start_lab))


def expect_failed(result: ScenarioResult) -> None:
    """An expectation did not hold: exit code 1. Not the machine's fault, and not the deadline's."""
    assert (result.outcome, result.exit_code, result.why) == ("failed", 1, "")
    checks = [check for step in result.steps for check in step.checks]
    checks += [window.check for window in result.windows]
    assert any(not check.held for check in checks)
