import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.control import client, statefile
from badgateway.control.client import ControlClient


class Recorder(ThreadingHTTPServer):
    """Answers everything with `answer`, and notes what it was asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"null")
        self.asked: list[tuple[str, str, str | None, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
        status, content = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = do

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("BADGATEWAY_TOKEN", raising=False)


def test_each_call_is_one_request_with_the_token(api: Recorder) -> None:
    speaker = ControlClient(api.url, "t")
    api.answer = (201, b'{"id": "f-1", "cleared": 2, "lost": ["it is over"]}')
    assert speaker.set_fault("app", {"kind": "hang"})["id"] == "f-1"
    assert speaker.clear_faults() == 2
    speaker.clear_fault("f/1")
    speaker.chain()
    speaker.faults()
    speaker.exchanges("a b")
    assert speaker.restart("app-1") == ["it is over"]
    speaker.reset()
    assert api.asked == [
        ("POST", "/api/faults", "Bearer t", {"target": "app", "kind": "hang"}),
        ("DELETE", "/api/faults", "Bearer t", None),
        ("DELETE", "/api/faults/f%2F1", "Bearer t", None),
        ("GET", "/api/chain", "Bearer t", None),
        ("GET", "/api/faults", "Bearer t", None),
        ("GET", "/api/exchanges?request_id=a+b", "Bearer t", None),
        ("POST", "/api/processes/app-1/restart", "Bearer t", None),
        ("POST", "/api/reset", "Bearer t", None),
    ]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((400, b'{"error": "unknown fault"}'), InvalidRequest, "unknown fault"),
        ((404, b"{}"), InvalidRequest, "answered 404"),
        ((401, b'{"error": "wrong token"}'), EnvironmentProblem, "wrong token"),
        ((503, b'{"error": "lb is gone"}'), EnvironmentProblem, "lb is gone"),
        ((200, b"<html>"), EnvironmentProblem, "is no badgateway control API"),
    ],
)
def test_a_refusal_says_whose_fault_it_is(
    api: Recorder, answer: tuple[int, bytes], kind: type[Exception], said: str
) -> None:
    api.answer = answer
    with pytest.raises(kind, match=said):
        ControlClient(api.url, "t").chain()


def test_nobody_there_is_said() -> None:
    with pytest.raises(EnvironmentProblem, match="is `badgateway up` running there"):
        ControlClient("http://127.0.0.1:9", "t").chain()


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "does not begin with http://"),
        ("nonsense", "does not begin with http://"),
        ("127.0.0.1:8500", "does not begin with http://"),
        ("localhost:8500", "does not begin with http://"),
        ("https://127.0.0.1:8500", "does not begin with http://"),
        ("ftp://x", "does not begin with http://"),
        ("http://", "names no host"),
        ("http:///api", "names no host"),
        ("http://:8500", "names no host"),
        ("http://127.0.0.1:port", "has a host or a port that is none"),
        ("http://127.0.0.1:85000", "has a host or a port that is none"),
        ("http://[::1", "has a host or a port that is none"),
        (f"http://{'a' * 64}:8500", "has a host or a port that is none"),
        ("http://lab 8500", "has a character in it that no URL has"),
        ("http://lab:8500/ä", "has a character in it that no URL has"),
    ],
)
def test_what_is_no_control_url_is_told_before_a_token_is_missed(url: str, wrong: str) -> None:
    said = f"^{re.escape(f'the control URL {url!r} {wrong}; write it as `badgateway up` prints it: http://')}"
    for token in (None, "t"):
        with pytest.raises(InvalidRequest, match=said):
            client.connect(url, token)
    with pytest.raises(InvalidRequest, match=said):
        ControlClient(url, "t").chain()


@pytest.mark.parametrize("url", ["http://lab", "http://[::1]:8500", "HTTP://lab:8500/behind/a/path/"])
def test_any_host_port_and_path_are_a_control_url(url: str) -> None:
    assert client.connect(url, "t").url == url


def test_the_state_file_says_where_the_chain_is() -> None:
    with pytest.raises(EnvironmentProblem, match="no chain is running"):
        client.connect()
    statefile.claim(statefile.this_process("http://127.0.0.1:8500", "secret"))
    assert client.connect() == ControlClient("http://127.0.0.1:8500", "secret")
    assert client.connect(token="other") == ControlClient("http://127.0.0.1:8500", "other")
    assert client.connect("http://127.0.0.1:8500/").token == "secret"


def test_a_control_url_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.connect("http://lab:8500", "t") == ControlClient("http://lab:8500", "t")
    with pytest.raises(EnvironmentProblem, match="give --token"):
        client.connect("http://lab:8500")
    monkeypatch.setenv("BADGATEWAY_TOKEN", "from-the-environment")
    assert client.connect("http://lab:8500").token == "from-the-environment"
