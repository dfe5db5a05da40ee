"""The app is restarted and takes long to listen again."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import PositiveDuration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class BootSlowly(FaultSpec):
    """Attributes of `boot_slowly`."""

    kind: Literal["boot_slowly"] = "boot_slowly"
    boot_delay: PositiveDuration = 3.0
    """How long it takes until it listens."""


register(
    FaultType(
        name="boot_slowly",
        category="process",
        summary="Kills its process; its supervisor starts it again, and it boots slowly while the fault lasts.",
        provokes="connection_refused",
        attributes=BootSlowly,
        effect=Process(lambda spec, process, seconds: process.kill()),
        respawn=lambda spec: {"boot_delay": format_duration(spec.boot_delay)},
    )
)
