"""A TLS server answers plain HTTP: a fatal alert comes instead of an answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class TlsAlert(FaultSpec):
    """Attributes of `tls_alert`."""

    kind: Literal["tls_alert"] = "tls_alert"
    alert: int = Field(default=40, ge=0, le=255)
    """Which (RFC 8446 section 6): 40 is handshake_failure."""


register(
    FaultType(
        name="tls_alert",
        category="response",
        summary="Sends a fatal TLS alert, as a TLS server does that is spoken to in plain HTTP, then closes.",
        provokes="http_protocol_error",
        attributes=TlsAlert,
        effect=Script(lambda spec: [{"send": rf"\x15\x03\x03\x00\x02\x02\x{spec.alert:02x}"}, "close"]),
    )
)
