"""The app's process dies: SIGKILL, as the kernel's OOM killer does it."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class Crash(FaultSpec):
    """Attributes of `crash`."""

    kind: Literal["crash"] = "crash"


register(
    FaultType(
        name="crash",
        category="process",
        summary="Kills its own process (SIGKILL).",
        provokes="connection_refused",
        attributes=Crash,
        effect=Process(lambda spec, process, seconds: process.kill()),
    )
)
