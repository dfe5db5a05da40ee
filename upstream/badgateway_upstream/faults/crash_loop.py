"""The app dies soon after each start."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import PositiveDuration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class CrashLoop(FaultSpec):
    """Attributes of `crash_loop`."""

    kind: Literal["crash_loop"] = "crash_loop"
    crash_after: PositiveDuration = 0.5
    """How long it lives after each start."""


register(
    FaultType(
        name="crash_loop",
        category="process",
        summary="Kills its process; each time its supervisor starts it again, it dies soon, while the fault lasts.",
        provokes="connection_refused",
        attributes=CrashLoop,
        effect=Process(lambda spec, process, seconds: process.kill()),
        respawn=lambda spec: {"crash_after": format_duration(spec.crash_after)},
    )
)
