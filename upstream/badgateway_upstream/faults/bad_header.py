"""The answer has a header line that is none."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class BadHeader(FaultSpec):
    """Attributes of `bad_header`."""

    kind: Literal["bad_header"] = "bad_header"
    line: EscapedText = "This line has no colon"
    """The line, without its line end."""


register(
    FaultType(
        name="bad_header",
        category="response",
        summary="Sends its answer with a line among the headers that is no header.",
        provokes="http_protocol_error",
        attributes=BadHeader,
        effect=Script(lambda spec: [{"respond": {"header": spec.line + r"\r\n"}}]),
    )
)
