"""Why requests for files are refused; what comes of it on the wire is tested with the methods."""

from __future__ import annotations

import pytest

from badgateway_upstream.app.dav.refusals import RefusedError, bound_name, bound_source, methods_of, not_allowed
from badgateway_upstream.app.dav.tree import Resource
from badgateway_upstream.wire.requests import Intake, Request

FILE = Resource(2, "", False, "text/plain", 0, 0)
COLLECTION = Resource(3, "", True, "", 0, 0)


def request(method: str, path: str = "/dav/x") -> Request:
    reader = Intake(lambda: None)
    reader.feed(f"{method} {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
    return reader.ready[0]


@pytest.mark.parametrize(
    ("method", "found", "status"),
    [("PUT", COLLECTION, 405), ("BIND", FILE, 405), ("POST", FILE, 405), ("MKCOL", FILE, 405), ("POST", None, 404)],
)
def test_a_method_that_is_not_for_what_is_there(method: str, found: Resource | None, status: int) -> None:
    refused = not_allowed(request(method), found)
    assert refused.status == status
    if status == 405:
        assert method not in methods_of(found)
        assert refused.extra == f"Allow: {', '.join(methods_of(found))}\r\n"


@pytest.mark.parametrize(
    ("href", "condition"),
    [
        ("/products/1", "binding-allowed"),
        ("/dav/../x", "binding-allowed"),
        ("http://other.example/dav/x", "cross-server-binding"),
    ],
)
def test_an_href_that_cannot_be_bound(href: str, condition: str) -> None:
    with pytest.raises(RefusedError) as refused:
        bound_source(href, request("BIND"))
    assert (refused.value.status, refused.value.condition) == (403, condition)
    assert bound_source("http://shop.example/dav/x/", request("BIND")) == ("x",)


def test_a_name_that_cannot_be_bound() -> None:
    with pytest.raises(RefusedError) as refused:
        bound_name("a/b")
    assert (refused.value.status, refused.value.condition) == (403, "name-allowed")
    assert bound_name("a%20b") == "a b"
