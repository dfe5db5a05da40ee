"""What OpenSSL is told to do, from a hop's TLS settings."""

import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from badgateway_proxy.configuration.tls_settings import TlsSettings, UpstreamTlsSettings

#: Hops speak HTTP/1.1 (RFC 7301 section 6; IANA's ALPN registry).
_ALPN = ["http/1.1"]
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_YEAR = timedelta(days=365)
#: With it, an end without close_notify, which anybody on the way can forge, passes for an orderly one. Python sets it
#: by itself before gh-95494, as Debian 12's does; with OpenSSL 1.1.1 it does not exist.
_LENIENT_END = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)


def upstream_context(settings: UpstreamTlsSettings) -> ssl.SSLContext:
    """How to speak TLS to endpoints. Raises OSError where the authorities cannot be read (any more)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return _common(context, settings.min_version)


def client_context(settings: TlsSettings, host: str) -> ssl.SSLContext:
    """How to speak TLS to clients of a hop that listens on `host`. Raises OSError where a file cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if settings.certificate is not None:
        context.load_cert_chain(settings.certificate, settings.key)
    else:
        _load_self_signed(context, host)
    return _common(context, settings.min_version)


def _common(context: ssl.SSLContext, min_version: str) -> ssl.SSLContext:
    context.minimum_version = _VERSIONS[min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options &= ~_LENIENT_END
    context.set_alpn_protocols(_ALPN)
    return context


def _load_self_signed(context: ssl.SSLContext, host: str) -> None:
    # A fifth of a second to import, which only those pay who ask for it.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "badgateway (self-signed)")])
    names: dict[str, x509.GeneralName] = {}
    for each in (host, "localhost", "127.0.0.1", "::1"):
        try:
            names[each] = x509.IPAddress(ipaddress.ip_address(each))
        except ValueError:
            names[each] = x509.DNSName(each)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEAR)
        .add_extension(x509.SubjectAlternativeName(names.values()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.TemporaryDirectory(prefix="badgateway-") as folder:  # OpenSSL takes files only; mode 0700
        file = Path(folder) / "self-signed.pem"
        file.write_bytes(pem)
        context.load_cert_chain(file)
