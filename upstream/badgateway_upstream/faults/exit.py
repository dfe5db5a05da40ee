"""The app's process exits in the middle of everything."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class Exit(FaultSpec):
    """Attributes of `exit`."""

    kind: Literal["exit"] = "exit"
    status: int = Field(default=1, ge=0, le=255)
    """The exit status."""


register(
    FaultType(
        name="exit",
        category="process",
        summary="Leaves its process at once, with an exit status.",
        provokes="connection_refused",
        attributes=Exit,
        effect=Process(lambda spec, process, seconds: process.exit(spec.status)),
    )
)
