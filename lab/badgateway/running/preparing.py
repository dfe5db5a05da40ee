"""What a scenario does before its client comes: for those who bring a client of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from badgateway.running.acting import act
from badgateway.running.labview import LabLike
from badgateway.scenario.model import Scenario
from badgateway.scenario.steps import Action, FaultStep, Marked, PauseStep, RequestStep, Step, StopStep

Prepare = Callable[[LabLike], Awaitable[None]]


def preparation_of(scenario: Scenario) -> Prepare:
    """What brings a lab with the scenario's chain to where the scenario's cause has happened."""

    async def prepare(lab: LabLike) -> None:
        for step in before_the_client(scenario.steps):
            if isinstance(step, PauseStep):
                await asyncio.sleep(step.pause)
            else:
                await act(step, lab)

    return prepare


def before_the_client(steps: Sequence[Step]) -> list[Action | PauseStep]:
    """The steps up to the first request that comes after a cause: a fault, a stop, a step marked `cause`.

    Requests among them are left out: those are the client's. Without any cause: what stands before the first request.
    """
    causes = [index for index, step in enumerate(steps) if _is_cause(step)]
    first = causes[0] if causes else 0
    end = next((index for index in range(first, len(steps)) if isinstance(steps[index], RequestStep)), len(steps))
    return [step for step in steps[:end] if not isinstance(step, RequestStep)]


def _is_cause(step: Step) -> bool:
    return isinstance(step, FaultStep | StopStep) or (isinstance(step, Marked) and step.cause)
