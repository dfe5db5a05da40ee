"""Something else listens on the TLS port, and what it says is neither TLS nor HTTP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class TlsGarbage(FaultSpec):
    """Attributes of `tls_garbage`."""

    kind: Literal["tls_garbage"] = "tls_garbage"
    bytes: int = Field(default=64, ge=8, le=65536)
    """How much of it."""


register(
    FaultType(
        name="tls_garbage",
        category="connection",
        summary="Sends garbage instead of its part of the TLS handshake, then closes.",
        provokes="tls_protocol_error",
        attributes=TlsGarbage,
        effect=Script(lambda spec: [{"send": r"\x00"}, {"send": {"random": spec.bytes}}, "close"], on_accept=True),
        needs="tls",
    )
)
