"""The handler calls another service, which accepts the connection, reads the request, and never answers."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import Break, FaultSpec, FaultType, register


class DownstreamHangs(FaultSpec):
    """Attributes of `downstream_hangs`."""

    kind: Literal["downstream_hangs"] = "downstream_hangs"


register(
    FaultType(
        name="downstream_hangs",
        category="app",
        summary="Has the handler call a service that never answers; it waits for as long as downstream_timeout says.",
        provokes="http_response_timeout",
        attributes=DownstreamHangs,
        effect=Break(lambda spec, handling: handling.call_downstream()),
    )
)
