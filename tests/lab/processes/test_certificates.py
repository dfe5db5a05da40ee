"""The authority of a run: what it signs is trusted by whoever trusts it, and its secrets are the run's own."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from badgateway.processes.certificates import Authority
from badgateway_proxy import HopConfig


def shaken(trusted: Path, files: dict[str, str], name: str) -> str | None:
    """The TLS version of a handshake in memory."""
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.load_verify_locations(trusted)
    server.load_cert_chain(files["certificate"], files["key"])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return ours.version()


def test_hops_get_certificates_that_the_run_trusts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.certificate("lb", "127.0.0.1")
    for name in ("127.0.0.1", "localhost", "lb"):
        assert shaken(authority.trusted, files, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(authority.trusted, files, "cdn")
    HopConfig.model_validate({"upstreams": ["127.0.0.1:1"], "tls": {"enabled": True, **files}})
    assert {path.stat().st_mode & 0o777 for path in (authority.whole, Path(files["key"]))} == {0o600}


def test_runs_do_not_trust_each_other(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (Authority(folder) for folder in folders)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(two.trusted, one.certificate("lb", "127.0.0.1"), "127.0.0.1")
