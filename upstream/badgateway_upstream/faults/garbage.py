"""The app sends random bytes instead of an answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class Garbage(FaultSpec):
    """Attributes of `garbage`."""

    kind: Literal["garbage"] = "garbage"
    bytes: int = Field(default=256, ge=1, le=1 << 30)
    """How many."""
    seed: int = 0
    """Of the random generator."""


register(
    FaultType(
        name="garbage",
        category="response",
        summary="Sends random bytes, the same ones for the same seed, then closes.",
        provokes="http_protocol_error",
        attributes=Garbage,
        effect=Script(lambda spec: [{"send": {"random": spec.bytes, "seed": spec.seed}}, "close"]),
    )
)
