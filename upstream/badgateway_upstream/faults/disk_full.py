"""The app's disk is full: the kernel answers each write with ENOSPC, while everything that only reads goes on."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class DiskFull(FaultSpec):
    """Attributes of `disk_full`."""

    kind: Literal["disk_full"] = "disk_full"


register(
    FaultType(
        name="disk_full",
        category="process",
        summary="Fills the disk that orders and reports are written to (a small tmpfs, else /dev/full): ENOSPC.",
        provokes=None,
        attributes=DiskFull,
        effect=Process(lambda spec, process, seconds: process.fill_disk(), lambda spec, process: process.empty_disk()),
    )
)
