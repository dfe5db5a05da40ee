"""The app stops in the middle of its answer and keeps the connection open."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.steps import Cut


class Stall(FaultSpec):
    """Attributes of `stall`."""

    kind: Literal["stall"] = "stall"
    at: Cut = "50%"
    """Where, in the body: a number of bytes, or a share."""


register(
    FaultType(
        name="stall",
        category="response",
        summary="Sends the head and part of the body, then nothing until the fault ends; then it closes.",
        provokes="connection_read_timeout",
        attributes=Stall,
        effect=Script(
            lambda spec: [
                {"respond": {"part": "head"}},
                {"respond": {"part": "body", "to": spec.at}},
                "hang",
                "close",
            ]
        ),
        applies=lambda _, occasion: occasion.method != "HEAD",
    )
)
