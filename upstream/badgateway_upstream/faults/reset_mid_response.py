"""The app resets the connection in the middle of its answer."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import Duration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.steps import Cut


class ResetMidResponse(FaultSpec):
    """Attributes of `reset_mid_response`."""

    kind: Literal["reset_mid_response"] = "reset_mid_response"
    at: Cut = "50%"
    """Where, in the body: a number of bytes, or a share."""
    after: Duration = 0.05
    """How long after that part: enough for it to be read before the reset."""


register(
    FaultType(
        name="reset_mid_response",
        category="connection",
        summary="Sends the head and part of the body, then resets the connection (RST).",
        provokes="http_response_incomplete",
        attributes=ResetMidResponse,
        effect=Script(
            lambda spec: [
                {"respond": {"part": "head"}},
                {"respond": {"part": "body", "to": spec.at}},
                {"pause": format_duration(spec.after)},
                "reset",
            ]
        ),
        applies=lambda _, occasion: occasion.method != "HEAD",
    )
)
