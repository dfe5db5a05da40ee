from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.caching.invalidation import invalidated

OWN = ("shop.example:8080", "/orders?x=1")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"])
@pytest.mark.parametrize("status", [200, 201, 204, 303])
def test_an_unsafe_request_that_succeeds_invalidates_its_own_resource(method: str, status: int) -> None:
    assert invalidated(method, OWN, status, []) == [OWN]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_requests_invalidate_nothing(method: str) -> None:
    assert invalidated(method, OWN, 200, [(b"Location", b"/a")]) == []


@pytest.mark.parametrize("status", [400, 404, 500, 503, 101])
def test_errors_invalidate_nothing(status: int) -> None:
    assert invalidated("POST", OWN, status, []) == []


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (b"/orders/7", ("shop.example:8080", "/orders/7")),
        (b"7?a=b", ("shop.example:8080", "/7?a=b")),
        (b"http://shop.example:8080/a", ("shop.example:8080", "/a")),
        (b"http://SHOP.example:8080", ("shop.example:8080", "/")),
        (b"http://shop.example/a", None),  # another port is another origin
        (b"http://evil.example/a", None),
        (b"//evil.example/a", None),
        (b"http://[", None),
        (b"", None),
    ],
)
def test_so_does_what_it_points_to_on_the_same_host(value: bytes, other: tuple[str, str] | None) -> None:
    for name in (b"Location", b"content-location"):
        assert invalidated("POST", OWN, 201, [(name, value)]) == ([OWN] if other is None else [OWN, other])


@given(st.binary(max_size=30))
def test_any_location_is_read(value: bytes) -> None:
    assert invalidated("POST", OWN, 201, [(b"Location", value)])[0] == OWN
