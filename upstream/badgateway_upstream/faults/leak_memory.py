"""The app's memory grows, and a watchdog beside it kills it for that, as a container's runtime or systemd-oomd does."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.durations import Duration
from badgateway_upstream.engine.memory import MIB, MOST
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, ProcessControls, register


class LeakMemory(FaultSpec):
    """Attributes of `leak_memory`."""

    kind: Literal["leak_memory"] = "leak_memory"
    amount_mib: int = Field(default=64, ge=1, le=MOST)
    """By how many MiB resident memory grows."""
    over: Duration = 0.0
    """Within which time; none: at once, while a request waits if one set it off."""
    limit_mib: int | None = Field(default=32, ge=1, le=MOST)
    """Beyond so many MiB of growth the process is killed (SIGKILL); null: it only grows."""


def _begin(spec: LeakMemory, process: ProcessControls, seconds: float) -> str:
    del seconds
    limit = None if spec.limit_mib is None else spec.limit_mib * MIB
    return process.leak_memory(spec.amount_mib * MIB, spec.over, limit)


register(
    FaultType(
        name="leak_memory",
        category="process",
        summary="Allocates memory and keeps it; beyond a limit a watchdog process kills this one (SIGKILL).",
        provokes="connection_refused",
        attributes=LeakMemory,
        effect=Process(_begin, lambda spec, process: process.free_memory()),
    )
)
