"""The app switches protocols though nobody asked it to."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class UnaskedUpgrade(FaultSpec):
    """Attributes of `unasked_upgrade`."""

    kind: Literal["unasked_upgrade"] = "unasked_upgrade"
    protocol: EscapedText = "websocket"
    """What it switches to."""


def _switching(spec: UnaskedUpgrade) -> str:
    return rf"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {spec.protocol}\r\n\r\n"


register(
    FaultType(
        name="unasked_upgrade",
        category="response",
        summary="Answers 101 Switching Protocols to a request that asked for no upgrade, then sends other bytes.",
        provokes="http_protocol_error",
        attributes=UnaskedUpgrade,
        effect=Script(
            lambda spec: [
                {"send": _switching(spec)},
                {"send": r"\x81\x05hello"},
                "hang",
                "close",
            ]
        ),
    )
)
