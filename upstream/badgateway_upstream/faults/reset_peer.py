"""Nothing comes but a reset (Toxiproxy's reset_peer)."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import Duration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class ResetPeer(FaultSpec):
    """Attributes of `reset_peer`."""

    kind: Literal["reset_peer"] = "reset_peer"
    timeout: Duration = 0.0
    """How long after the request's head."""


register(
    FaultType(
        name="reset_peer",
        category="flow",
        summary="Sends nothing, and resets the connection (RST) after a time.",
        provokes="connection_terminated",
        attributes=ResetPeer,
        effect=Script(lambda spec: [{"pause": format_duration(spec.timeout)}, "reset"]),
    )
)
