"""The app resets the connection instead of answering."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import Duration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class ResetBeforeResponse(FaultSpec):
    """Attributes of `reset_before_response`."""

    kind: Literal["reset_before_response"] = "reset_before_response"
    after: Duration = 0.0
    """How long after the request's head."""


register(
    FaultType(
        name="reset_before_response",
        category="connection",
        summary="Resets the connection (RST) instead of answering.",
        provokes="connection_terminated",
        attributes=ResetBeforeResponse,
        effect=Script(lambda spec: [{"pause": format_duration(spec.after)}, "reset"]),
    )
)
