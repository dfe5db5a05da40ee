"""The body of the answer arrives in drips."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.durations import PositiveDuration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class Drip(FaultSpec):
    """Attributes of `drip`."""

    kind: Literal["drip"] = "drip"
    bytes: int = Field(default=1, ge=1)
    """How many bytes at a time."""
    every: PositiveDuration = 0.1
    """How long from one to the next."""


register(
    FaultType(
        name="drip",
        category="response",
        summary="Sends the head at once, then the body a few bytes at a time.",
        provokes="http_response_timeout",
        attributes=Drip,
        effect=Script(
            lambda spec: [
                {"respond": {"part": "head"}},
                {"respond": {"part": "body", "drip": {"bytes": spec.bytes, "every": format_duration(spec.every)}}},
            ]
        ),
        applies=lambda _, occasion: occasion.method != "HEAD",
    )
)
