"""One header of the answer is huge."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class OversizedHeader(FaultSpec):
    """Attributes of `oversized_header`."""

    kind: Literal["oversized_header"] = "oversized_header"
    bytes: int = Field(default=65536, ge=1, le=1_000_000)
    """How long its value is."""
    name: str = Field(default="X-Oversized", pattern=r"^[A-Za-z0-9-]{1,256}$")
    """Its name."""


def _steps(spec: OversizedHeader) -> list[Any]:
    name, value = f"{spec.name}: ", {"repeat": {"send": "x", "times": spec.bytes}}
    return [{"respond": {"header": {"join": [name, value, r"\r\n"]}}}]


register(
    FaultType(
        name="oversized_header",
        category="response",
        summary="Sends its answer with one header far larger than receivers allow.",
        provokes="http_response_header_size",
        attributes=OversizedHeader,
        effect=Script(_steps),
    )
)
