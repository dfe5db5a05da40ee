"""More bytes follow a complete answer, as if they belonged to the next one."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class SurplusBytes(FaultSpec):
    """Attributes of `surplus_bytes`."""

    kind: Literal["surplus_bytes"] = "surplus_bytes"
    text: EscapedText = r"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsurplus\n"
    """What follows the answer. The default is a complete answer that nobody asked for."""


register(
    FaultType(
        name="surplus_bytes",
        category="response",
        summary="Sends a complete answer, and more bytes right behind it.",
        provokes=None,
        attributes=SurplusBytes,
        effect=Script(lambda spec: ["respond", {"send": spec.text}]),
    )
)
