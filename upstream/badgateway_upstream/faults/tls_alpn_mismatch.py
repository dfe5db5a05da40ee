"""The app speaks only HTTP/2, and no ALPN protocol is left that both sides know."""

from __future__ import annotations

import ssl
from typing import Final, Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, Identity, register

_NO_APPLICATION_PROTOCOL: Final = 120
"""RFC 7301 section 3.2."""


class TlsAlpnMismatch(FaultSpec):
    """Attributes of `tls_alpn_mismatch`."""

    kind: Literal["tls_alpn_mismatch"] = "tls_alpn_mismatch"


def _context(spec: TlsAlpnMismatch, identity: Identity) -> ssl.SSLContext:
    del spec
    context = identity.server()
    # Python's ssl goes on without a protocol where none fits; what its SNI callback returns is sent as an alert.
    context.sni_callback = lambda *_: _NO_APPLICATION_PROTOCOL
    return context


register(
    FaultType(
        name="tls_alpn_mismatch",
        category="connection",
        summary="Refuses handshakes with the alert no_application_protocol, as a server does that speaks only HTTP/2.",
        provokes="tls_alert_received",
        attributes=TlsAlpnMismatch,
        effect=Handshake(_context),
        needs="tls",
    )
)
