"""The app accepts the connection and resets it at once."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class ResetOnAccept(FaultSpec):
    """Attributes of `reset_on_accept`."""

    kind: Literal["reset_on_accept"] = "reset_on_accept"


register(
    FaultType(
        name="reset_on_accept",
        category="connection",
        summary="Resets (RST) each connection right after accepting it, before reading anything.",
        provokes="connection_terminated",
        attributes=ResetOnAccept,
        effect=Script(lambda _: ["reset"], on_accept=True),
    )
)
