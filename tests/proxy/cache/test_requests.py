from __future__ import annotations

from badgateway_proxy.cache.requests import unconditional, with_conditions
from tests.proxy.cache.test_asked import request

STORED = [(b"ETag", b'"a"'), (b"Last-Modified", b"Sun, 06 Nov 1994 08:49:37 GMT")]
CLIENTS = ((b"If-None-Match", b'"mine"'), (b"range", b"bytes=0-1"), (b"If-Range", b'"mine"'), (b"X-Kept", b"1"))


def test_the_caches_own_conditions_take_the_place_of_the_clients() -> None:
    original = request(*CLIENTS)
    made = with_conditions(original, STORED)
    assert made is not None
    assert made.raw_headers == (
        (b"Host", b"Shop.Example:80"),
        (b"X-Kept", b"1"),
        (b"If-None-Match", b'"a"'),
        (b"If-Modified-Since", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    )
    assert original.raw_headers[1:] == CLIENTS  # others may have the same request object


def test_without_a_validator_it_cannot_be_asked() -> None:
    assert with_conditions(request(), [(b"Date", b"x")]) is None


def test_a_request_of_the_caches_own_is_a_get_of_all_of_it() -> None:
    original = request(*CLIENTS, (b"Cache-Control", b"max-stale"), (b"X-Request-ID", b"theirs"), method="HEAD")
    made = unconditional(original)
    assert (made.method, made.id) == ("GET", None)
    assert made.raw_headers == ((b"Host", b"Shop.Example:80"), (b"X-Kept", b"1"))
    assert (original.method, original.id) == ("HEAD", "theirs")
