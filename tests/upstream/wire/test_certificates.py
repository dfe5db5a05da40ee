"""Certificates for an instance: what is in them, and where their authority comes from."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from badgateway_upstream.wire.certificates import AuthorityError, Certificates


def presented(context: ssl.SSLContext) -> x509.Certificate:
    """The certificate that a server with this context shows, whatever a client thinks of it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    ours = careless.wrap_bio(to_client, to_server)
    theirs = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return x509.load_der_x509_certificate(ours.getpeercert(binary_form=True) or b"")


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def test_a_certificate_says_whom_it_is_for_and_until_when() -> None:
    made = Certificates(None, ("127.0.0.1", "localhost", "app-1"))
    good, other = presented(made.good), presented(made.server("bank.example"))
    assert names(good) == {"127.0.0.1", "localhost", "app-1"}
    assert names(other) == {"bank.example"}
    assert good.not_valid_before_utc.timestamp() < time.time() < good.not_valid_after_utc.timestamp()
    expired = presented(made.server(expired_for=3600.0))
    assert time.time() - 3700 < expired.not_valid_after_utc.timestamp() <= time.time() - 3600
    assert good.issuer == other.issuer == expired.issuer
    assert presented(made.server(by_a_stranger=True)).issuer != good.issuer


def test_instances_may_share_an_authority(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    first, second = Certificates(path, ("a",)), Certificates(path, ("b",))
    assert presented(first.good).issuer == presented(second.good).issuer
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_authority_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    path.write_text("nothing")
    with pytest.raises(AuthorityError, match="holds no authority: it must be a CA certificate and its key"):
        Certificates(path, ("a",))
