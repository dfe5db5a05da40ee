"""The answer has two Content-Length headers that differ."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class TwoContentLengths(FaultSpec):
    """Attributes of `two_content_lengths`."""

    kind: Literal["two_content_lengths"] = "two_content_lengths"
    second: int = Field(default=1, ge=0)
    """What the second one says."""


register(
    FaultType(
        name="two_content_lengths",
        category="response",
        summary="Sends its answer with a second Content-Length that contradicts the first.",
        provokes="http_protocol_error",
        attributes=TwoContentLengths,
        effect=Script(lambda spec: [{"respond": {"header": rf"Content-Length: {spec.second}\r\n"}}]),
    )
)
