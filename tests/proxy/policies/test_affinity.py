from __future__ import annotations

import pytest

from badgateway_proxy.configuration.balancing_settings import BalancingSettings
from badgateway_proxy.policies.affinity import Affinity, cookie_value
from tests.support.endpoints import endpoints

HEADERS = [(b"Host", b"a"), (b"x-user", b"7"), (b"Cookie", b'theme=dark; cart="c-1"'), (b"cookie", b"cart=c-2")]


def affinity(**settings: object) -> Affinity:
    return Affinity(BalancingSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("on", "key"),
    [
        ("client", b"10.0.0.1"),
        ("path", b"/products/1"),
        ("header:X-User", b"7"),
        ("header:x-absent", None),
        ("cookie:cart", b"c-1"),
        ("cookie:theme", b"dark"),
        ("cookie:Cart", None),
    ],
)
def test_what_requests_have_in_common(on: str, key: bytes | None) -> None:
    tried = affinity(policy="maglev", hash_on=on)
    assert tried.on
    assert tried.key_of(b"10.0.0.1", "/products/1?page=2", HEADERS) == key


def test_matters_only_where_something_asks_for_it() -> None:
    assert not affinity().on
    assert not affinity(hash_on="path").on
    assert affinity(policy="maglev").on
    assert affinity(sticky_cookie="lb").on
    assert affinity(sticky_cookie="lb").key_of(b"10.0.0.1", "/", HEADERS) is None


def test_a_cookie_leads_back_to_its_endpoint_and_tells_nothing_of_it() -> None:
    one, two = endpoints(1, 1)
    tried = affinity(sticky_cookie="lb")
    line = tried.cookie_for(two, [])
    assert line.startswith(b"\r\nSet-Cookie: lb=")
    value, *attributes = line.removeprefix(b"\r\nSet-Cookie: ").split(b"; ")
    assert attributes == [b"Path=/", b"HttpOnly", b"SameSite=Lax"]
    assert b"127" not in value
    assert b"9002" not in value
    assert tried.home_of([(b"Cookie", b"a=b; " + value)], [one, two]) is two
    assert tried.home_of([(b"Cookie", value)], [one]) is None
    assert tried.cookie_for(two, [(b"Cookie", value)]) == b""
    assert tried.cookie_for(one, [(b"Cookie", value)]) == tried.cookie_for(one, [])


@pytest.mark.parametrize("given", [[], [(b"Cookie", b"other=1")], [(b"Cookie", b"lb=nonsense")], [(b"Cookie", b"lb")]])
def test_any_other_cookie_leads_nowhere(given: list[tuple[bytes, bytes]]) -> None:
    assert affinity(sticky_cookie="lb").home_of(given, endpoints(1, 1)) is None


def test_without_sticky_sessions_there_is_no_cookie() -> None:
    (one,) = endpoints(1)
    assert affinity(policy="maglev").cookie_for(one, []) == b""
    assert affinity(policy="maglev").home_of([(b"Cookie", b"lb=" + cookie_value(one.endpoint))], [one]) is None
