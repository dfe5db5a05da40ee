"""The app wants its callers to show a certificate (mutual TLS)."""

from __future__ import annotations

import ssl
from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, Identity, register


class TlsClientCertificate(FaultSpec):
    """Attributes of `tls_client_certificate`."""

    kind: Literal["tls_client_certificate"] = "tls_client_certificate"


def _context(spec: TlsClientCertificate, identity: Identity) -> ssl.SSLContext:
    del spec
    context = identity.server()
    identity.trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


register(
    FaultType(
        name="tls_client_certificate",
        category="connection",
        summary="Wants a client certificate. In TLS 1.3 its alert comes after the handshake seems to be over.",
        provokes="tls_alert_received",
        attributes=TlsClientCertificate,
        effect=Handshake(_context),
        needs="tls",
    )
)
