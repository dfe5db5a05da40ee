"""Something else than HTTP listens there: its greeting comes instead of an answer."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class NotHttp(FaultSpec):
    """Attributes of `not_http`."""

    kind: Literal["not_http"] = "not_http"
    text: EscapedText = r"220 mail.example.com ESMTP Postfix\r\n"
    """What it says, with escapes."""


register(
    FaultType(
        name="not_http",
        category="response",
        summary="Sends the greeting of another protocol instead of an answer, then closes.",
        provokes="http_protocol_error",
        attributes=NotHttp,
        effect=Script(lambda spec: [{"send": spec.text}, "close"]),
    )
)
