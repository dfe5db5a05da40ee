"""The app closes a kept-alive connection exactly when the next request arrives on it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class KeepaliveRace(FaultSpec):
    """Attributes of `keepalive_race`."""

    kind: Literal["keepalive_race"] = "keepalive_race"
    request: int = Field(default=2, ge=2)
    """Which request of a connection never gets its answer."""
    end: Literal["close", "reset"] = "close"
    """How the connection ends: FIN or RST."""


register(
    FaultType(
        name="keepalive_race",
        category="connection",
        summary="Closes a kept-alive connection exactly when its second request arrives.",
        provokes="connection_terminated",
        attributes=KeepaliveRace,
        effect=Script(lambda spec: [spec.end]),
        applies=lambda spec, occasion: occasion.number == spec.request,
    )
)
