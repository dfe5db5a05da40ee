"""Which DNS server a hop asks: an address, with a port if it is not 53."""

from __future__ import annotations

import pytest

from badgateway_proxy.configuration.config import ConfigError, load_config
from badgateway_proxy.configuration.resolver_settings import nameserver_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
    ],
)
def test_a_nameserver_is_an_address(text: str, address: tuple[str, int]) -> None:
    assert nameserver_address(text) == address


@pytest.mark.parametrize("text", ["dns.example", "127.0.0.1:x", "127.0.0.1:0", "127.0.0.1:65536", "", ":53"])
def test_and_nothing_else(text: str) -> None:
    with pytest.raises(ConfigError, match="is no DNS server: write its IP address"):
        load_config({"upstreams": ["a:1"], "resolver": {"nameserver": text}})
