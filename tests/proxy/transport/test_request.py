"""What a request's head comes to, and what of it is kept for the next request with the same head."""

from __future__ import annotations

import pytest
from aiohttp.http import HttpVersion, HttpVersion10, HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.request import Request

LIMITS = {"max_header": 100, "max_headers": 300}


def request(target: str = "/x", *fields: tuple[bytes, bytes], version: HttpVersion = HttpVersion11) -> Request:
    named = CIMultiDict((name.decode(), value.decode()) for name, value in fields)
    url = URL(target) if "://" in target else URL("/")
    message = RawRequestMessage("GET", target, version, CIMultiDictProxy(named), fields, False, None, False, False, url)
    return Request(message)


def head(of: Request, client: bytes = b"10.0.0.1", *, chunked: bool = False, length: int | None = None) -> bytes:
    return b"ID".join(of.head(client, b"1.1 lb", "app:1", chunked=chunked, length=length))


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [("/x", b"GET /x HTTP/1.1\r\nHost: app:1\r\n"), ("http://h/y", b"GET /y HTTP/1.1\r\nHost: h\r\n")],
)
def test_it_goes_on_in_origin_form(target: str, forwarded: bytes) -> None:
    asked = request(target)
    asked.admit(**LIMITS)
    assert asked.admissible
    assert head(asked).startswith(forwarded)
    assert b"\r\nX-Request-ID: ID\r\n" in head(asked)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("x"), 400),
        (request(version=HttpVersion(2, 0)), 505),
        (request("/", *[(b"X-%d" % n, b"v" * 90) for n in range(4)]), 431),
        (request("/", (b"Transfer-Encoding", b"gzip, chunked")), 501),
    ],
)
def test_what_may_not_go_on_is_refused_each_time(asked: Request, status: int) -> None:
    for _ in range(2):
        with pytest.raises(HopError) as refused:
            asked.admit(**LIMITS)
        assert refused.value.status == status
        assert not asked.admissible


@pytest.mark.parametrize(
    ("value", "wanted"), [(b"abc", "abc"), (b"", None), (b"a b", None), (b"x" * 129, None), ("ä".encode(), None)]
)
def test_an_id_is_kept_if_it_is_one(value: bytes, wanted: str | None) -> None:
    message = RawRequestMessage(
        "GET", "/", HttpVersion11, CIMultiDictProxy(CIMultiDict()), ((b"x-request-id", value),), False, None, False,
        False, URL("/"),
    )  # fmt: skip
    assert Request(message).id == wanted


def test_its_head_is_written_once_for_a_client() -> None:
    asked = request("/x", (b"Host", b"h"))
    first = asked.head(b"10.0.0.1", b"1.1 lb", "app:1", chunked=False, length=None)
    again = asked.head(b"10.0.0.1", b"1.1 lb", "app:2", chunked=False, length=None)
    assert again[0] is first[0]
    assert b"for=10.0.0.1;" in head(asked)
    assert b"for=10.0.0.2;" in head(asked, b"10.0.0.2")
    assert b"for=10.0.0.1;" in head(asked)


def test_what_is_of_one_exchange_is_not_kept() -> None:
    asked = request("/x", (b"Host", b"h"))
    assert b"Transfer-Encoding: chunked" in head(asked, chunked=True)
    assert b"Content-Length: 3" in head(asked, length=3)
    assert b"Transfer-Encoding" not in head(asked)
    assert b"Content-Length" not in head(asked)


def test_what_is_of_one_endpoint_is_not_kept() -> None:
    asked = request("/x", version=HttpVersion10)
    for endpoint in ("app:1", "app:2"):
        before, _ = asked.head(b"10.0.0.1", b"1.1 lb", endpoint, chunked=False, length=None)
        assert f"Host: {endpoint}\r\n".encode() in before
