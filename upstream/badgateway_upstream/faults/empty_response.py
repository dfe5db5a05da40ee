"""The app reads the request and closes the connection without a byte."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class EmptyResponse(FaultSpec):
    """Attributes of `empty_response`."""

    kind: Literal["empty_response"] = "empty_response"


register(
    FaultType(
        name="empty_response",
        category="connection",
        summary="Reads the whole request, then closes the connection without sending a byte.",
        provokes="connection_terminated",
        attributes=EmptyResponse,
        effect=Script(lambda _: [{"read": "all"}, "close"]),
    )
)
