"""The app takes the request and never answers."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class Hang(FaultSpec):
    """Attributes of `hang`."""

    kind: Literal["hang"] = "hang"


register(
    FaultType(
        name="hang",
        category="connection",
        summary="Takes the request and sends nothing until the fault ends; then it closes the connection.",
        provokes="http_response_timeout",
        attributes=Hang,
        effect=Script(lambda _: ["hang", "close"]),
    )
)
