"""The answer has Content-Length and Transfer-Encoding: chunked, as in request smuggling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class ContentLengthAndChunked(FaultSpec):
    """Attributes of `content_length_and_chunked`."""

    kind: Literal["content_length_and_chunked"] = "content_length_and_chunked"
    length: int = Field(default=5, ge=0)
    """What Content-Length says."""


register(
    FaultType(
        name="content_length_and_chunked",
        category="response",
        summary="Sends its answer chunked, with a Content-Length too.",
        provokes="http_response_transfer_coding",
        attributes=ContentLengthAndChunked,
        effect=Script(
            lambda spec: [{"respond": {"framing": "chunked", "header": rf"Content-Length: {spec.length}\r\n"}}]
        ),
    )
)
