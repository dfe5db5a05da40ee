from __future__ import annotations

import pytest
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from badgateway_proxy.cache.asked import Asked
from badgateway_proxy.policies.caching.directives import NONE
from badgateway_proxy.transport.request import Request


def request(*fields: tuple[bytes, bytes], method: str = "GET", target: str = "/a?b") -> Request:
    raw = ((b"Host", b"Shop.Example:80"), *fields)
    message = RawRequestMessage(
        method, target, HttpVersion11, CIMultiDictProxy(CIMultiDict()), raw, False, None, False, False, URL(target)
    )
    made = Request(message)
    made.admit(max_header=8190, max_headers=65536)
    return made


def asked(*fields: tuple[bytes, bytes], method: str = "GET", obey_clients: bool = True) -> Asked:
    return Asked(request(*fields, method=method), obey_clients=obey_clients)


def test_a_plain_get() -> None:
    plain = asked((b"Accept", b"*/*"), (b"Cookie", b"a=b"))
    assert plain.resource == ("shop.example:80", "/a?b")
    assert (plain.plain, plain.served, plain.shareable) == (True, True, True)
    assert plain.directives is NONE


def test_the_authority_of_an_absolute_form_counts_instead_of_host() -> None:
    absolute = Asked(request(target="http://OTHER.example/a"), obey_clients=True)
    assert absolute.resource == ("other.example", "/a")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Cache-Control", b"no-cache"),
        (b"pragma", b"no-cache"),
        (b"If-None-Match", b'"a"'),
        (b"if-modified-since", b"yesterday"),
        (b"Range", b"bytes=0-1"),
    ],
)
def test_what_makes_a_get_special(name: bytes, value: bytes) -> None:
    special = asked((name, value))
    assert (special.plain, special.served, special.shareable) == (False, True, False)


def test_one_that_is_not_obeyed_is_plain() -> None:
    assert asked((b"Cache-Control", b"no-cache"), obey_clients=False).plain


def test_an_authorized_request_may_get_what_is_stored_but_its_answer_is_its_own() -> None:
    authorized = asked((b"Authorization", b"x"))
    assert (authorized.plain, authorized.shareable, authorized.authorized) == (True, False, True)


@pytest.mark.parametrize(("method", "served"), [("HEAD", True), ("POST", False), ("PUT", False), ("OPTIONS", False)])
def test_other_methods(method: str, served: bool) -> None:
    other = asked(method=method)
    assert (other.plain, other.served, other.shareable) == (False, served, False)
