"""Nothing comes, and after a time the connection closes (Toxiproxy's timeout)."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import Duration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class Timeout(FaultSpec):
    """Attributes of `timeout`."""

    kind: Literal["timeout"] = "timeout"
    timeout: Duration = 0.0
    """How long after the request's head it closes; 0s: not before the fault ends."""


register(
    FaultType(
        name="timeout",
        category="flow",
        summary="Sends nothing and closes the connection after a time; with 0s only when the fault ends.",
        provokes="http_response_timeout",
        attributes=Timeout,
        effect=Script(lambda spec: [{"pause": format_duration(spec.timeout)} if spec.timeout else "hang", "close"]),
    )
)
