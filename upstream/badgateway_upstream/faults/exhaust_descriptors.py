"""The app has opened files and never closed them: no descriptor is left, for a file or for a connection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, ProcessControls, register


class ExhaustDescriptors(FaultSpec):
    """Attributes of `exhaust_descriptors`."""

    kind: Literal["exhaust_descriptors"] = "exhaust_descriptors"
    limit: int = Field(default=64, ge=32, le=4096)
    """How many descriptors the process may have from now on (RLIMIT_NOFILE)."""
    close_connections: bool = True
    """Whether kept-alive connections without a request are closed too, so that callers must connect anew."""


def _begin(spec: ExhaustDescriptors, process: ProcessControls, seconds: float) -> str:
    del seconds
    return process.exhaust_descriptors(spec.limit, close_idle=spec.close_connections)


register(
    FaultType(
        name="exhaust_descriptors",
        category="process",
        summary="Lowers RLIMIT_NOFILE and opens files until the kernel refuses: accept() and open() fail with EMFILE.",
        provokes="http_response_timeout",
        attributes=ExhaustDescriptors,
        effect=Process(_begin, lambda spec, process: process.restore_descriptors()),
    )
)
