"""The app was deployed without its TLS settings: the port that is spoken to in TLS answers in plain HTTP."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, register


class TlsPlaintext(FaultSpec):
    """Attributes of `tls_plaintext`."""

    kind: Literal["tls_plaintext"] = "tls_plaintext"


register(
    FaultType(
        name="tls_plaintext",
        category="connection",
        summary="Speaks plain HTTP on its TLS port, on new connections: to a TLS handshake it answers 400.",
        provokes="tls_protocol_error",
        attributes=TlsPlaintext,
        effect=Handshake(lambda spec, identity: None),
        needs="tls",
    )
)
