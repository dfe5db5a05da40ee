"""Why TLS with a peer failed: pure functions from OpenSSL's words and the peer's first bytes to one error type.

RFC 9209 has three: tls_certificate_error (section 2.3.14), tls_alert_received (2.3.15), tls_protocol_error (2.3.13).
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from badgateway_proxy.errors import ErrorType

ALERTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "close_notify",
        10: "unexpected_message",
        20: "bad_record_mac",
        21: "decryption_failed",
        22: "record_overflow",
        30: "decompression_failure",
        40: "handshake_failure",
        42: "bad_certificate",
        43: "unsupported_certificate",
        44: "certificate_revoked",
        45: "certificate_expired",
        46: "certificate_unknown",
        47: "illegal_parameter",
        48: "unknown_ca",
        49: "access_denied",
        50: "decode_error",
        51: "decrypt_error",
        70: "protocol_version",
        71: "insufficient_security",
        80: "internal_error",
        86: "inappropriate_fallback",
        90: "user_canceled",
        100: "no_renegotiation",
        109: "missing_extension",
        110: "unsupported_extension",
        111: "certificate_unobtainable",
        112: "unrecognized_name",
        113: "bad_certificate_status_response",
        115: "unknown_psk_identity",
        116: "certificate_required",
        120: "no_application_protocol",
    }
)
"""TLS alerts by number (IANA's registry; RFC 8446 section 6)."""

_NUMBERS: Final = {name.replace("_", " "): number for number, name in ALERTS.items()} | {"user cancelled": 90}
#: How OpenSSL calls an alert that it received: by the version that brought it in (from 3.2 on also "ssl/tls").
_ALERT_WORDS: Final = re.compile(r"\b(?:sslv3|tlsv1|tlsv13|ssl/tls) (?:alert )?([a-z ]+)")

#: What those alerts mean that people meet.
_MEANINGS: Final = {
    40: "no cipher or curve in common, or a client certificate is missing",
    48: "it does not trust the authority of our certificate",
    70: "no TLS version in common",
    80: "it failed itself",
    112: "it has no certificate for the name that was asked for",
    116: "it wants a client certificate",
    120: "no ALPN protocol in common; http/1.1 was offered",
}

#: By X509_V_ERR code (openssl-verification-options(1)): what is wrong with the certificate.
_UNTRUSTED: Final = "it is signed by an authority that this hop does not trust"
_WRONG: Final = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    23: "it was revoked",
    26: "it is not meant for servers",
    66: "its key is too weak",
}
_NAME_MISMATCH: Final = (62, 64)

#: OpenSSL's reasons that mean: these bytes are no TLS record.
_NO_TLS: Final = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"))
_RECORD_TYPES: Final = range(20, 24)
_ALERT: Final = 21


@dataclass(frozen=True, slots=True)
class TlsFailure:
    """One error type, a sentence for `details`, and the type's own parameters (RFC 9209 section 2.3.15)."""

    error: ErrorType
    details: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)


def diagnose_tls(error: ssl.SSLError, first_bytes: bytes = b"", name: str = "") -> TlsFailure:
    """Say why TLS failed.

    Args:
        error: what OpenSSL said.
        first_bytes: what the peer sent first in the handshake; empty where it was over.
        name: whom the certificate was to be for.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailure(ErrorType.TLS_CERTIFICATE_ERROR, f"the peer's certificate is refused: {_wrong(error, name)}")
    alert = alert_in(first_bytes)
    if alert is None:
        alert = _alert_in_words(str(error))
    if alert is not None:
        return _alerted(alert)
    if first_bytes and not speaks_tls(first_bytes):
        return TlsFailure(ErrorType.TLS_PROTOCOL_ERROR, f"the peer does not speak TLS: it sent {_kind_of(first_bytes)}")
    if error.reason in _NO_TLS:
        return TlsFailure(ErrorType.TLS_PROTOCOL_ERROR, "the peer sent bytes that are no TLS in the middle of TLS")
    if error.reason == "UNSUPPORTED_PROTOCOL":
        return TlsFailure(ErrorType.TLS_PROTOCOL_ERROR, "the peer chose a TLS version that this hop does not accept")
    return TlsFailure(ErrorType.TLS_PROTOCOL_ERROR, f"TLS with the peer failed: {words_of(error)}")


def words_of(error: ssl.SSLError) -> str:
    """OpenSSL's reason as words."""
    return (error.reason or "unknown error").replace("_", " ").lower()


def alert_of(error: ssl.SSLError) -> str | None:
    """The alert that the peer sent, such as `unknown_ca (48)`; None where OpenSSL stopped for another reason."""
    number = _alert_in_words(str(error))
    return None if number is None else f"{ALERTS[number]} ({number})"


def _wrong(error: ssl.SSLCertVerificationError, name: str) -> str:
    if error.verify_code in _NAME_MISMATCH:
        return f"it is not for {name}"
    return _WRONG.get(error.verify_code, error.verify_message)


def _alerted(alert: int) -> TlsFailure:
    name = ALERTS.get(alert, "unknown")
    meaning = f": {_MEANINGS[alert]}" if alert in _MEANINGS else ""
    parameters: dict[str, str | int] = {"alert-id": alert, "alert-message": name}
    details = f"the peer ended TLS with the alert {name} ({alert}){meaning}"
    return TlsFailure(ErrorType.TLS_ALERT_RECEIVED, details, parameters)


def alert_in(first_bytes: bytes) -> int | None:
    """The number of the fatal alert that these bytes are, None if they are none (RFC 8446 sections 5.1 and 6)."""
    if len(first_bytes) >= 7 and first_bytes[0] == _ALERT and first_bytes[1] == 3 and first_bytes[3:5] == b"\x00\x02":
        return first_bytes[6]
    return None


def _alert_in_words(words: str) -> int | None:
    """The alert in OpenSSL's words, such as `tlsv1 alert no application protocol`, `tlsv1 unrecognized name`."""
    found = _ALERT_WORDS.search(words.lower().replace("_", " "))
    return None if found is None else _NUMBERS.get(found[1].strip())


def speaks_tls(first_bytes: bytes) -> bool:
    """Whether these bytes may begin TLS: a record's type, and 3 as the version's first byte (RFC 8446 section 5.1)."""
    return first_bytes[0] in _RECORD_TYPES and first_bytes[1:2] in (b"\x03", b"")


def _kind_of(first_bytes: bytes) -> str:
    if first_bytes.startswith(b"HTTP/"):
        return "plain HTTP"
    if first_bytes.startswith(b"SSH-"):
        return "SSH"
    return "bytes that are no TLS record"
