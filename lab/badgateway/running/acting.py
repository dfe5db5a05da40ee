"""What a step other than a request does to a lab."""

from __future__ import annotations

from typing import assert_never

from badgateway.running.labview import FaultLike, LabLike
from badgateway.scenario.steps import (
    Action,
    AdvanceStep,
    BreakerStep,
    ClearStep,
    DeployStep,
    FaultStep,
    PatchStep,
    PurgeStep,
    RestartStep,
    StopStep,
)


async def act(action: Action, lab: LabLike) -> FaultLike | None:  # noqa: C901, PLR0912 - one case for each kind of step
    """Do it, and return the fault if it set one.

    Raises what the lab raises: InvalidRequest, EnvironmentProblem.
    """
    match action:
        case FaultStep():
            return await lab.set_fault(action.fault.target, action.fault.spec)
        case ClearStep():
            await _clear(lab, action.clear)
        case AdvanceStep():
            await lab.advance(action.advance)
        case RestartStep():
            await lab.restart(action.restart)
        case StopStep():
            await lab.stop(action.stop)
        case DeployStep():
            for target, settings in action.deploy.items():
                await lab.deploy(target, settings, may_not_start=action.may_not_start)
        case PatchStep():
            for hop, patch in action.patch.items():
                await lab.patch(hop, patch)
        case BreakerStep():
            for hop, what in action.breaker.items():
                await lab.breaker(hop, what)
        case PurgeStep():
            for hop, forgotten in action.purge.items():
                await lab.purge(hop, forgotten)
        case _:
            assert_never(action)
    return None


async def _clear(lab: LabLike, what: str) -> None:
    if what == "all":
        await lab.clear_faults()
        return
    for fault in await lab.faults():
        if what in (fault.kind, fault.target):
            await lab.clear_fault(fault.id)
