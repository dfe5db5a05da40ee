"""What OpenSSL is told: seen in the handshakes that come of it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from badgateway_proxy.configuration.tls_settings import TlsSettings, UpstreamTlsSettings
from badgateway_proxy.transport.tls_contexts import client_context, upstream_context
from tests.support import tls


def shaken(client: ssl.SSLContext, server: ssl.SSLContext, name: str = tls.HOST) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both sides after a handshake in memory. Raises what the client's side, or then the server's, fails of."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return ours, theirs


def test_upstreams_are_verified_unless_told_otherwise(tmp_path: Path) -> None:
    files = tls.files(tmp_path)
    trusting = upstream_context(UpstreamTlsSettings(ca_file=files["ca"]))
    ours, theirs = shaken(trusting, tls.server())
    assert ours.version() == "TLSv1.3"
    assert theirs.selected_alpn_protocol() is None  # the server has not said what it speaks
    system = upstream_context(UpstreamTlsSettings())
    for context, leaf in ((system, tls.certificate(tls.HOST)), (trusting, tls.certificate("other.example"))):
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(context, tls.server(leaf))
    careless = upstream_context(UpstreamTlsSettings(verify=False))
    assert shaken(careless, tls.server(tls.certificate("other.example", by="strangers")))[0].version() == "TLSv1.3"


def test_http_1_1_is_offered_and_nothing_else(tmp_path: Path) -> None:
    files = tls.files(tmp_path)
    server = tls.server()
    server.set_alpn_protocols(["h2", "http/1.1"])
    assert shaken(upstream_context(UpstreamTlsSettings(ca_file=files["ca"])), server)[0].selected_alpn_protocol() == (
        "http/1.1"
    )
    front = client_context(TlsSettings(certificate=files["certificate"], key=files["key"]), tls.HOST)
    assert shaken(tls.client("h2", "http/1.1"), front)[0].selected_alpn_protocol() == "http/1.1"


def test_a_version_that_is_too_old_is_refused(tmp_path: Path) -> None:
    files = tls.files(tmp_path)
    old = tls.server()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shaken(upstream_context(UpstreamTlsSettings(ca_file=files["ca"])), old)[0].version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        shaken(upstream_context(UpstreamTlsSettings(ca_file=files["ca"], min_version="TLSv1.3")), old)


@pytest.mark.parametrize("host", ["127.0.0.1", "gateway.example", "0.0.0.0"])
def test_a_self_signed_certificate_is_for_where_the_hop_listens(host: str) -> None:
    server = client_context(TlsSettings(enabled=True), host)
    careless = upstream_context(UpstreamTlsSettings(verify=False))
    ours, _ = shaken(careless, server)
    pem = ssl.DER_cert_to_PEM_cert(ours.getpeercert(binary_form=True) or b"")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(cadata=pem)
    for name in (host, "localhost", "::1"):
        assert shaken(trusting, server, name)[0].version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(trusting, server, "elsewhere.example")


def test_no_end_without_close_notify_passes_for_an_orderly_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Python's own contexts are lenient, as Debian 12's are."""
    made = ssl.SSLContext.__new__

    def lenient(cls: type[ssl.SSLContext], protocol: int) -> ssl.SSLContext:
        context = made(cls, protocol)
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
        return context

    monkeypatch.setattr(ssl.SSLContext, "__new__", lenient)
    for context in (upstream_context(UpstreamTlsSettings()), client_context(TlsSettings(enabled=True), tls.HOST)):
        assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF
