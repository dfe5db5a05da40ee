"""The app's certificate is signed by an authority that nobody knows."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, register


class TlsUntrustedIssuer(FaultSpec):
    """Attributes of `tls_untrusted_issuer`."""

    kind: Literal["tls_untrusted_issuer"] = "tls_untrusted_issuer"


register(
    FaultType(
        name="tls_untrusted_issuer",
        category="connection",
        summary="Presents a certificate of an authority that nobody trusts, on new connections.",
        provokes="tls_certificate_error",
        attributes=TlsUntrustedIssuer,
        effect=Handshake(lambda spec, identity: identity.server(by_a_stranger=True)),
        needs="tls",
    )
)
