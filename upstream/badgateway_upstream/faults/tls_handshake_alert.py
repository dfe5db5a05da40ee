"""The app's TLS library refuses the handshake, and says so in an alert."""

from __future__ import annotations

import ssl
from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, Identity, register


class TlsHandshakeAlert(FaultSpec):
    """Attributes of `tls_handshake_alert`."""

    kind: Literal["tls_handshake_alert"] = "tls_handshake_alert"
    alert: int = Field(default=40, ge=10, le=255)
    """Which (RFC 8446 section 6): 40 is handshake_failure, 112 unrecognized_name, 80 internal_error."""


def _context(spec: TlsHandshakeAlert, identity: Identity) -> ssl.SSLContext:
    context = identity.server()
    context.sni_callback = lambda *_: spec.alert
    return context


register(
    FaultType(
        name="tls_handshake_alert",
        category="connection",
        summary="Refuses handshakes with a fatal alert, such as where no cipher is in common.",
        provokes="tls_alert_received",
        attributes=TlsHandshakeAlert,
        effect=Handshake(_context),
        needs="tls",
    )
)
