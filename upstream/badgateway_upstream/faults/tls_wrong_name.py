"""The app's certificate is for somebody else: copied from another service, or the name changed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, register


class TlsWrongName(FaultSpec):
    """Attributes of `tls_wrong_name`."""

    kind: Literal["tls_wrong_name"] = "tls_wrong_name"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,100}[A-Za-z0-9])?$")] = "other.example"
    """Whom it is for."""


register(
    FaultType(
        name="tls_wrong_name",
        category="connection",
        summary="Presents a certificate for another name, on new connections.",
        provokes="tls_certificate_error",
        attributes=TlsWrongName,
        effect=Handshake(lambda spec, identity: identity.server(spec.name)),
        needs="tls",
    )
)
