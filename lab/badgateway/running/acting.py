"""What a step other than a request does to a lab."""

from __future__ import annotations

from typing import assert_never

from badgateway.running.labview import FaultLike, LabLike
from badgateway.scenario.steps import (
    Action,
    AdvanceStep,
    BreakerStep,
    ClearStep,
    FaultStep,
    PatchStep,
    PauseStep,
    RequestStep,
    RestartStep,
    Step,
    StopStep,
)
from badgateway_proxy import format_duration


async def act(action: Action, lab: LabLike) -> FaultLike | None:
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
        case PatchStep():
            for hop, patch in action.patch.items():
                await lab.patch(hop, patch)
        case BreakerStep():
            for hop, what in action.breaker.items():
                await lab.breaker(hop, what)
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


def step_title(step: Step) -> str:  # noqa: PLR0911 — one line for each kind of step
    """A step in a few words: `GET /products`, `fault crash at app`."""
    match step:
        case RequestStep(request=request):
            times = f" ×{request.times}" if request.times > 1 else ""
            entry = f" at {request.to}" if request.to != "cdn" else ""
            return f"{request}{entry}{times}"
        case FaultStep(fault=fault):
            return f"fault {fault.kind} at {fault.target}"
        case ClearStep(clear=what):
            return f"clear {what}"
        case AdvanceStep(advance=seconds):
            return f"advance {format_duration(seconds)}"
        case RestartStep(restart=target):
            return f"restart {target}"
        case StopStep(stop=target):
            return f"stop {target}"
        case PatchStep(patch=patch):
            return f"patch {', '.join(patch)}"
        case BreakerStep(breaker=actions):
            return ", ".join(f"breaker of {hop}: {what}" for hop, what in actions.items())
        case PauseStep(pause=seconds):
            return f"pause {format_duration(seconds)}"
        case _:
            assert_never(step)
