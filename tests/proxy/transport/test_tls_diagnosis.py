"""Why TLS failed, from OpenSSL's words and the peer's first bytes."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.errors import ERROR_TABLE, ErrorType
from badgateway_proxy.transport.tls_diagnosis import ALERTS, alert_in, alert_of, diagnose_tls, speaks_tls


def openssl(words: str, reason: str | None = None) -> ssl.SSLError:
    error = ssl.SSLError(1, words)
    error.reason = reason or ""
    return error


def refused(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_code, error.verify_message = code, message
    return error


CERTIFICATES = [
    (9, "certificate is not yet valid", "not valid yet"),
    (10, "certificate has expired", "it has expired"),
    (18, "self-signed certificate", "it is self-signed"),
    (19, "self-signed certificate in certificate chain", "an authority that this hop does not trust"),
    (20, "unable to get local issuer certificate", "an authority that this hop does not trust"),
    (62, "Hostname mismatch, certificate is not valid for 'shop'.", "it is not for shop"),
    (64, "IP address mismatch, certificate is not valid for 'shop'.", "it is not for shop"),
    (68, "CA signature digest algorithm too weak", "CA signature digest algorithm too weak"),
]


@pytest.mark.parametrize(("code", "message", "words"), CERTIFICATES)
def test_a_certificate_that_is_refused(code: int, message: str, words: str) -> None:
    failure = diagnose_tls(refused(code, message), b"\x16\x03\x03", "shop")
    assert failure.error is ErrorType.TLS_CERTIFICATE_ERROR
    assert failure.details.endswith(words)


# What OpenSSL 3.0 and 3.2 say of alerts that they receive; the reason is missing where Python's table is older.
ALERTED = [
    ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure (_ssl.c:1006)", 40),
    ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] ssl/tls alert handshake failure (_ssl.c:1032)", 40),
    ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version (_ssl.c:1006)", 70),
    ("[SSL] tlsv1 alert no application protocol (_ssl.c:1006)", 120),
    ("[SSL: TLSV1_UNRECOGNIZED_NAME] tlsv1 unrecognized name (_ssl.c:1006)", 112),
    ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)", 116),
    ("[SSL: TLSV1_ALERT_USER_CANCELLED] tlsv1 alert user cancelled (_ssl.c:1006)", 90),
]


@pytest.mark.parametrize(("words", "number"), ALERTED)
def test_an_alert_is_told_by_openssls_words(words: str, number: int) -> None:
    failure = diagnose_tls(openssl(words))
    assert failure.error is ErrorType.TLS_ALERT_RECEIVED
    assert failure.parameters == {"alert-id": number, "alert-message": ALERTS[number]}
    assert f"{ALERTS[number]} ({number})" in failure.details
    assert alert_of(openssl(words)) == f"{ALERTS[number]} ({number})"


@pytest.mark.parametrize("number", [40, 120, 200, 255])
def test_an_alert_is_told_by_the_bytes_that_came(number: int) -> None:
    failure = diagnose_tls(openssl("[SSL] unknown error"), b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    assert failure.error is ErrorType.TLS_ALERT_RECEIVED
    assert failure.parameters["alert-id"] == number
    assert failure.parameters["alert-message"] == ALERTS.get(number, "unknown")


OTHERS = [
    (b"HTTP/1.1 400 Bad Request\r\n", "WRONG_VERSION_NUMBER", "the peer does not speak TLS: it sent plain HTTP"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "WRONG_VERSION_NUMBER", "the peer does not speak TLS: it sent SSH"),
    (b"\x8f\x01\x02", "PACKET_LENGTH_TOO_LONG", "the peer does not speak TLS: it sent bytes that are no TLS record"),
    (b"", "WRONG_VERSION_NUMBER", "the peer sent bytes that are no TLS in the middle of TLS"),
    (b"\x16\x03\x02", "UNSUPPORTED_PROTOCOL", "the peer chose a TLS version that this hop does not accept"),
    (b"\x16\x03\x03", "UNEXPECTED_MESSAGE", "TLS with the peer failed: unexpected message"),
]


@pytest.mark.parametrize(("first", "reason", "words"), OTHERS)
def test_what_else_went_wrong_is_a_protocol_error(first: bytes, reason: str, words: str) -> None:
    failure = diagnose_tls(openssl("", reason), first)
    assert (failure.error, failure.details, dict(failure.parameters)) == (ErrorType.TLS_PROTOCOL_ERROR, words, {})
    assert alert_of(openssl("", reason)) is None


def test_parameters_are_those_that_are_registered() -> None:
    assert set(diagnose_tls(openssl(ALERTED[0][0])).parameters) == set(
        ERROR_TABLE[ErrorType.TLS_ALERT_RECEIVED].parameters
    )


@given(st.binary(min_size=1), st.text())
def test_whatever_comes_has_a_type_and_words(first: bytes, words: str) -> None:
    failure = diagnose_tls(openssl(words), first)
    assert failure.error in (ErrorType.TLS_PROTOCOL_ERROR, ErrorType.TLS_ALERT_RECEIVED)
    assert failure.details
    if alert_in(first) is not None:
        assert speaks_tls(first)
