"""TLS settings are checked with all others, files included: whoever starts a hop learns at once what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from badgateway_proxy.configuration.config import ConfigError, ImmutableFieldError, load_config, merge_patch
from tests.support import tls

UPSTREAMS = {"upstreams": ["https://127.0.0.1:1"]}


def problems(settings: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config({**UPSTREAMS, **settings})
    return [str(problem) for problem in caught.value.problems]


def test_off_unless_asked_for() -> None:
    config = load_config({"upstreams": ["127.0.0.1:1"]})
    assert not config.tls.enabled
    assert config.upstream_tls.enabled is None
    assert config.upstream_tls.verify


def test_files_that_serve(tmp_path: Path) -> None:
    files = tls.files(tmp_path)
    front = {"enabled": True, "certificate": files["certificate"], "key": files["key"]}
    config = load_config({**UPSTREAMS, "tls": front, "upstream_tls": {"ca_file": files["ca"], "server_name": "shop"}})
    assert config.tls.enabled
    assert load_config({**UPSTREAMS, "tls": {"enabled": True}}).tls.enabled


def test_what_cannot_serve_is_told(tmp_path: Path) -> None:
    files = tls.files(tmp_path)
    other = tmp_path / "other.pem"
    other.write_text("no PEM")
    ca, certificate, key = files["ca"], files["certificate"], files["key"]
    assert problems({"upstream_tls": {"ca_file": "/nowhere"}}) == [
        "upstream_tls.ca_file: cannot read /nowhere: No such file or directory"
    ]
    assert problems({"upstream_tls": {"ca_file": str(other)}}) == [
        f"upstream_tls.ca_file: {other} holds no certificate: it must be a PEM file with BEGIN CERTIFICATE"
    ]
    assert "no host name" in problems({"upstream_tls": {"server_name": "a b"}})[0]
    assert "did you mean verify" in problems({"upstream_tls": {"verfy": False}})[0]
    assert "must be TLSv1.2 or TLSv1.3" in problems({"upstream_tls": {"min_version": "TLSv1.1"}})[0]
    assert "belong together" in problems({"tls": {"certificate": certificate}})[0]
    assert "no certificate and its key" in problems({"tls": {"certificate": certificate, "key": ca}})[0]
    assert "cannot read" in problems({"tls": {"certificate": "/nowhere", "key": key}})[0]


def test_tls_towards_clients_needs_a_restart_and_that_towards_upstreams_none() -> None:
    config = load_config(UPSTREAMS)
    assert merge_patch(config, {"upstream_tls": {"verify": False}}).upstream_tls.verify is False
    with pytest.raises(ImmutableFieldError, match="tls: needs a restart"):
        merge_patch(config, {"tls": {"enabled": True}})
