"""The app's process stands still, while the kernel goes on accepting connections for it: SIGSTOP."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class Freeze(FaultSpec):
    """Attributes of `freeze`."""

    kind: Literal["freeze"] = "freeze"


register(
    FaultType(
        name="freeze",
        category="process",
        summary="Stops its own process (SIGSTOP) until the fault ends.",
        provokes="http_response_timeout",
        attributes=Freeze,
        effect=Process(lambda spec, process, seconds: process.freeze(seconds)),
    )
)
