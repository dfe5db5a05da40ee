"""The app's certificate has expired: nobody renewed it, or the renewed one was never loaded."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import PositiveDuration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, register


class TlsExpiredCertificate(FaultSpec):
    """Attributes of `tls_expired_certificate`."""

    kind: Literal["tls_expired_certificate"] = "tls_expired_certificate"
    expired_for: PositiveDuration = 86400.0
    """How long ago it expired."""


register(
    FaultType(
        name="tls_expired_certificate",
        category="connection",
        summary="Presents a certificate that has expired, on new connections; those that are open go on.",
        provokes="tls_certificate_error",
        attributes=TlsExpiredCertificate,
        effect=Handshake(lambda spec, identity: identity.server(expired_for=spec.expired_for)),
        needs="tls",
    )
)
