"""The app is too slow to accept: its accept queue is full, and connecting times out."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, ProcessControls, register


class AcceptQueueFull(FaultSpec):
    """Attributes of `accept_queue_full`."""

    kind: Literal["accept_queue_full"] = "accept_queue_full"
    close_connections: bool = True
    """Whether kept-alive connections without a request are closed too, so that callers must connect anew."""


def _begin(spec: AcceptQueueFull, process: ProcessControls, seconds: float) -> None:
    del seconds
    process.fill_accept_queue()
    if spec.close_connections:
        process.close_idle()


register(
    FaultType(
        name="accept_queue_full",
        category="process",
        summary="Stops accepting and fills the accept queue: the kernel drops new SYNs until the fault ends.",
        provokes="connection_timeout",
        attributes=AcceptQueueFull,
        effect=Process(_begin, lambda spec, process: process.listen_again()),
    )
)
