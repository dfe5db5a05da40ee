import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.balancer import Endpoint, RoundRobin, parse_endpoint


def endpoints(count: int) -> list[Endpoint]:
    return [parse_endpoint(f"127.0.0.1:{9001 + index}") for index in range(count)]


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://127.0.0.1:9001", Endpoint("127.0.0.1", 9001, "127.0.0.1:9001")),
        ("HTTP://app-1:9001/", Endpoint("app-1", 9001, "app-1:9001")),
        ("localhost", Endpoint("localhost", 80, "localhost:80")),
        ("[::1]:9001", Endpoint("::1", 9001, "[::1]:9001")),
        ("http://[::1]", Endpoint("::1", 80, "[::1]:80")),
        ("https://app-1:9001", Endpoint("app-1", 9001, "app-1:9001", tls=True)),
        ("HTTPS://[::1]/", Endpoint("::1", 443, "[::1]:443", tls=True)),
    ],
)
def test_reads_an_address(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ftp://a:1", "http or https"),
        ("http://a:1/path", "no path"),
        ("http://a:1?x", "no path"),
        ("http://user@a:1", "no path"),
        ("a:0", "no port"),
        ("a:65536", "no port"),
        ("a:" + "9" * 5000, "no port"),
        ("a:", "no port"),
        ("a:x", "no port"),
        ("", "no address"),
        (":9001", "no address"),
        ("a b:1", "no address"),
        ("::1:9001", "no address"),
        ("[::1:9001", "no address"),
        ("[::1]9001", "no address"),
        ("[zz]:1", "no address"),
    ],
)
def test_refuses_what_is_none(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_endpoint(text)


def test_takes_turns() -> None:
    one, two, three = endpoints(3)
    balancer = RoundRobin([one, two, three])
    assert [balancer.pick() for _ in range(4)] == [one, two, three, one]


def test_tries_elsewhere_and_goes_on_from_there() -> None:
    one, two, three = endpoints(3)
    balancer = RoundRobin([one, two, three])
    assert balancer.pick() == one
    assert balancer.pick({two}) == three
    assert balancer.pick() == one


def test_tries_the_same_again_when_there_is_no_other() -> None:
    one, two = endpoints(2)
    balancer = RoundRobin([one, two])
    assert balancer.pick([one, two]) == one
    assert RoundRobin([one]).pick([one]) == one


def test_needs_an_endpoint() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RoundRobin([])


@given(st.integers(1, 7), st.lists(st.frozensets(st.integers(0, 6)), max_size=50))
def test_never_picks_what_was_tried_while_there_is_another(count: int, tried: list[frozenset[int]]) -> None:
    all_endpoints = endpoints(count)
    balancer = RoundRobin(all_endpoints)
    for indices in tried:
        exclude = {all_endpoints[index] for index in indices if index < count}
        assert balancer.pick(exclude) not in exclude or len(exclude) == count


@given(st.integers(1, 7))
def test_is_fair(count: int) -> None:
    balancer = RoundRobin(endpoints(count))
    picked = [balancer.pick() for _ in range(5 * count)]
    assert {picked.count(endpoint) for endpoint in balancer.endpoints} == {5}
