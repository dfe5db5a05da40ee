"""The answer has far too many headers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class TooManyHeaders(FaultSpec):
    """Attributes of `too_many_headers`."""

    kind: Literal["too_many_headers"] = "too_many_headers"
    count: int = Field(default=1000, ge=1, le=60_000)
    """How many more headers than usual."""


register(
    FaultType(
        name="too_many_headers",
        category="response",
        summary="Sends its answer with far more headers than receivers allow.",
        provokes="http_response_header_section_size",
        attributes=TooManyHeaders,
        effect=Script(
            lambda spec: [
                {"respond": {"header": {"repeat": {"send": r"X-Many: header\r\n", "times": spec.count}}}},
            ]
        ),
    )
)
