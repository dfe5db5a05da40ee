"""This machine and its neighbours, which one may send to without being allowed to send anywhere. Pure."""

from __future__ import annotations

import ipaddress


def is_near(address: str) -> bool:
    """Whether an IP address is loopback, private or link-local. Raises ValueError where it is no IP address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # where the packets go; before Python 3.13 all of these count as private
    return (ip.is_loopback or ip.is_private or ip.is_link_local) and not ip.is_unspecified
