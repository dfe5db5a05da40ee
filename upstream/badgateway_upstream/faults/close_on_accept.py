"""The app accepts the connection and closes it at once."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class CloseOnAccept(FaultSpec):
    """Attributes of `close_on_accept`."""

    kind: Literal["close_on_accept"] = "close_on_accept"


register(
    FaultType(
        name="close_on_accept",
        category="connection",
        summary="Closes each connection right after accepting it, before reading anything.",
        provokes="connection_terminated",
        attributes=CloseOnAccept,
        effect=Script(lambda _: ["close"], on_accept=True),
    )
)
