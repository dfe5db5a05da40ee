"""The app says 100 Continue and then nothing more."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class ContinueThenHang(FaultSpec):
    """Attributes of `continue_then_hang`."""

    kind: Literal["continue_then_hang"] = "continue_then_hang"


register(
    FaultType(
        name="continue_then_hang",
        category="response",
        summary="Sends 100 Continue, then nothing until the fault ends; then it closes.",
        provokes="http_response_timeout",
        attributes=ContinueThenHang,
        effect=Script(lambda _: [{"send": r"HTTP/1.1 100 Continue\r\n\r\n"}, "hang", "close"]),
    )
)
