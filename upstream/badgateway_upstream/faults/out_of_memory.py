"""A handler wants more memory than the process may have, and the kernel says no: MemoryError, which it survives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.memory import MIB, MOST, exceed_address_space
from badgateway_upstream.engine.registry import Break, FaultSpec, FaultType, Handling, register


class OutOfMemory(FaultSpec):
    """Attributes of `out_of_memory`."""

    kind: Literal["out_of_memory"] = "out_of_memory"
    room_mib: int = Field(default=32, ge=4, le=MOST)
    """How many MiB more than now the process may have (RLIMIT_AS) while the handler runs."""


def _allocate(spec: OutOfMemory, handling: Handling) -> None:
    del handling
    exceed_address_space(spec.room_mib * MIB)


register(
    FaultType(
        name="out_of_memory",
        category="app",
        summary="Limits address space (RLIMIT_AS) and allocates in the handler until the kernel refuses: a 500.",
        provokes=None,
        attributes=OutOfMemory,
        effect=Break(_allocate),
    )
)
