"""Spans go to no public address: the connection's peer is looked at before anything is sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from badgateway_proxy.tracing import near_adapter
from badgateway_proxy.tracing.near_adapter import NearAdapter
from tests.support import tls
from tests.support.collector import collector


def session() -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    for scheme in ("http://", "https://"):
        made.mount(scheme, NearAdapter())
    return made


@contextmanager
def listener(got: list[bytes], *, over_tls: bool) -> Iterator[int]:
    """Note all that the one connection brings."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def serve() -> None:
            accepted, _ = server.accept()
            accepted.settimeout(20)
            # a client that closes before it has read the server's session tickets resets the connection
            with (
                contextlib.suppress(ConnectionResetError),
                tls.server().wrap_socket(accepted, server_side=True) if over_tls else accepted as peer,
            ):
                while data := peer.recv(65536):
                    got.append(data)
            got.append(b"end")

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield server.getsockname()[1]
        serving.join(20)


def test_what_is_near_is_sent_to_by_name_as_by_address() -> None:
    with collector() as collected, session() as sending:
        for host in ("127.0.0.1", "localhost"):
            url = collected.url.replace("127.0.0.1", host)
            assert sending.post(f"{url}/v1/traces", data=b"", timeout=20).status_code == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_not_near_gets_nothing(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(near_adapter, "is_near", asked.append)
    got: list[bytes] = []
    with listener(got, over_tls=scheme == "https") as port, session() as sending:
        sending.verify = str(tls.files(tmp_path)["ca"])
        with pytest.raises(requests.ConnectionError, match=r"127\.0\.0\.1 is a public address \(tracing\.allow_public"):
            sending.post(f"{scheme}://127.0.0.1:{port}/v1/traces", data=b"secret", timeout=20)
    assert (asked, got) == (["127.0.0.1"], [b"end"])
