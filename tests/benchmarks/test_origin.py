"""The stand-in upstream, and the two benchmark clients that talk to it."""

import http.client
from collections.abc import Iterator

import pytest

from benchmarks import body, held
from benchmarks.machine import cores
from benchmarks.origin import SMALL
from benchmarks.stage import Stage


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Stage() as stage:
        yield int(stage.python("benchmarks.origin", cpu=cores()[1]).ready()["listen"].rpartition(":")[2])


def ask(port: int, method: str, target: str, content: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, target, body=content)
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        connection.close()


def test_small_is_one_kibibyte(port: int) -> None:
    assert ask(port, "GET", "/products") == SMALL
    assert len(SMALL) == 1024


@pytest.mark.parametrize("kind", ["bytes", "chunked"])
@pytest.mark.parametrize("count", [0, 1, 65536, 200_001])
def test_bodies_have_the_length_asked_for(port: int, kind: str, count: int) -> None:
    assert len(ask(port, "GET", f"/{kind}/{count}")) == count


def test_request_bodies_are_counted(port: int) -> None:
    assert ask(port, "POST", "/orders", b"x" * 300_000) == b'{"received": 300000}'


def test_the_connection_is_kept(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for content in (None, b"abc", None):
        connection.request("POST" if content else "GET", "/", body=content)
        assert connection.getresponse().read() == (b'{"received": 3}' if content else SMALL)
    connection.close()


def test_download_counts_and_upload_is_confirmed(port: int) -> None:
    body.download(port, "/bytes/3000000", 3_000_000, 0)
    body.download(port, "/chunked/3000000", 3_000_000, 0)
    body.upload(port, 3_000_001)


def test_a_short_download_is_an_error(port: int) -> None:
    with pytest.raises(RuntimeError, match="bytes came of"):
        body.download(port, "/bytes/1000", 3_000_000, 0)


async def test_hold_waits_for_every_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_REQUEST", b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    asks = await held.hold(port, 20, 0.1)
    assert [ask.status for ask in asks] == [200] * 20
    assert len(held.deviations(asks)) == 20


def test_deviation_is_the_distance_from_the_deadline() -> None:
    asks = [
        held.Ask(sent=10.0, answered=15.02, status=504),
        held.Ask(sent=10.0, answered=14.99, status=504),
        held.Ask(sent=10.0),
    ]
    assert held.deviations(asks) == pytest.approx([0.02, 0.01])
