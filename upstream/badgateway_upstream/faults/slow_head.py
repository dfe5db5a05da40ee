"""The head of the answer arrives in drips."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.durations import PositiveDuration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class SlowHead(FaultSpec):
    """Attributes of `slow_head`."""

    kind: Literal["slow_head"] = "slow_head"
    bytes: int = Field(default=1, ge=1)
    """How many bytes at a time."""
    every: PositiveDuration = 0.1
    """How long from one to the next."""


register(
    FaultType(
        name="slow_head",
        category="response",
        summary="Sends the head of its answer a few bytes at a time, then the body normally.",
        provokes="http_response_timeout",
        attributes=SlowHead,
        effect=Script(
            lambda spec: [
                {"respond": {"part": "head", "drip": {"bytes": spec.bytes, "every": format_duration(spec.every)}}},
                {"respond": {"part": "body"}},
            ]
        ),
    )
)
