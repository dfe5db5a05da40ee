"""The app runs, but its port refuses connections."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, ProcessControls, register


class StopListening(FaultSpec):
    """Attributes of `stop_listening`."""

    kind: Literal["stop_listening"] = "stop_listening"
    close_connections: bool = True
    """Whether kept-alive connections without a request are closed too, so that callers must connect anew."""


def _begin(spec: StopListening, process: ProcessControls, seconds: float) -> None:
    del seconds
    process.stop_listening()
    if spec.close_connections:
        process.close_idle()


register(
    FaultType(
        name="stop_listening",
        category="process",
        summary="Closes its listening socket until the fault ends: new connections are refused.",
        provokes="connection_refused",
        attributes=StopListening,
        effect=Process(_begin, lambda spec, process: process.listen_again()),
    )
)
