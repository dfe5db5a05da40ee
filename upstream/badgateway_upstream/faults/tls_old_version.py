"""The app's TLS library is from another time."""

from __future__ import annotations

import ssl
import warnings
from typing import Final, Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Handshake, Identity, register

_VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
}


class TlsOldVersion(FaultSpec):
    """Attributes of `tls_old_version`."""

    kind: Literal["tls_old_version"] = "tls_old_version"
    newest: Literal["TLSv1", "TLSv1.1", "TLSv1.2"] = "TLSv1.1"
    """The newest version that it speaks."""


def _context(spec: TlsOldVersion, identity: Identity) -> ssl.SSLContext:
    context = identity.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = _VERSIONS[spec.newest]
    return context


register(
    FaultType(
        name="tls_old_version",
        category="connection",
        summary="Speaks only old TLS versions, on new connections.",
        provokes="tls_alert_received",
        attributes=TlsOldVersion,
        effect=Handshake(_context),
        needs="tls",
    )
)
