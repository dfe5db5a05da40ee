"""The app accepts the connection and never does its part of the TLS handshake."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class TlsHandshakeHang(FaultSpec):
    """Attributes of `tls_handshake_hang`."""

    kind: Literal["tls_handshake_hang"] = "tls_handshake_hang"


register(
    FaultType(
        name="tls_handshake_hang",
        category="connection",
        summary="Accepts connections and says nothing, so that the TLS handshake does not get on.",
        provokes="connection_timeout",
        attributes=TlsHandshakeHang,
        effect=Script(lambda _: ["hang"], on_accept=True),
        needs="tls",
    )
)
