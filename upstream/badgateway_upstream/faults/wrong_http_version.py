"""The first line of the answer names an HTTP version that is not spoken on this connection."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class WrongHttpVersion(FaultSpec):
    """Attributes of `wrong_http_version`."""

    kind: Literal["wrong_http_version"] = "wrong_http_version"
    version: EscapedText = "HTTP/2.0"
    """What stands in place of HTTP/1.1."""


register(
    FaultType(
        name="wrong_http_version",
        category="response",
        summary="Sends its answer with another HTTP version in the first line.",
        provokes="http_protocol_error",
        attributes=WrongHttpVersion,
        effect=Script(lambda spec: [{"respond": {"version": spec.version}}]),
    )
)
