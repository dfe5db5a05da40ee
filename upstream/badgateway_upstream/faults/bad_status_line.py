"""The first line of the answer is no status line."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class BadStatusLine(FaultSpec):
    """Attributes of `bad_status_line`."""

    kind: Literal["bad_status_line"] = "bad_status_line"
    line: EscapedText = "HTTP/1.1 2OO OK"
    """The first line, without its line end. The default has the letter O for zeros."""


register(
    FaultType(
        name="bad_status_line",
        category="response",
        summary="Sends its answer with a first line that is no status line.",
        provokes="http_protocol_error",
        attributes=BadStatusLine,
        effect=Script(lambda spec: [{"respond": {"status_line": spec.line}}]),
    )
)
