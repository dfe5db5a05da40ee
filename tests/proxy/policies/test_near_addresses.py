"""Which addresses are near: loopback, private, link-local, however they are written."""

from __future__ import annotations

import pytest

from badgateway_proxy.policies.near_addresses import is_near


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "fd00::1",
        "169.254.1.1",
        "fe80::1%eth0",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
    ],
)
def test_near(address: str) -> None:
    assert is_near(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "::ffff:808:808",
        "64:ff9b::808:808",
        "0.0.0.0",
        "::",
    ],
)
def test_not_near(address: str) -> None:
    assert not is_near(address)


@pytest.mark.parametrize("name", ["localhost", "collector.example", "", "127.1"])
def test_a_name_is_no_address(name: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        is_near(name)
