"""Interim responses come before the answer, which many clients and proxies forget can happen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class EarlyHints(FaultSpec):
    """Attributes of `early_hints`."""

    kind: Literal["early_hints"] = "early_hints"
    count: int = Field(default=3, ge=1, le=10_000)
    """How many."""
    link: EscapedText = "</style.css>; rel=preload; as=style"
    """What their Link header says."""


def _hint(spec: EarlyHints) -> str:
    return rf"HTTP/1.1 103 Early Hints\r\nLink: {spec.link}\r\n\r\n"


register(
    FaultType(
        name="early_hints",
        category="response",
        summary="Sends 103 Early Hints, several times, and then its answer.",
        provokes=None,
        attributes=EarlyHints,
        effect=Script(
            lambda spec: [
                {"send": {"repeat": {"send": _hint(spec), "times": spec.count}}},
                "respond",
            ]
        ),
    )
)
