import pytest

from badgateway_proxy.policies.balancer import Endpoint, EndpointState, parse_endpoint, untried


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


def test_untried_are_all_that_were_not_tried_or_all() -> None:
    one, two, three = (EndpointState(parse_endpoint(f"127.0.0.1:{9001 + index}")) for index in range(3))
    assert untried((one, two, three), [two]) == [one, three]
    assert untried((one, two), [two, one]) == (one, two)
