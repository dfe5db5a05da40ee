"""How a hop looks up the names of its upstreams."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

from badgateway_proxy.configuration.durations import PositiveDuration
from badgateway_proxy.configuration.settings import Section, text_default


def _nameserver(text: str) -> str:
    try:
        nameserver_address(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no DNS server: write its IP address, such as 127.0.0.1:5353") from None
    return text


def nameserver_address(text: str) -> tuple[str, int]:
    """IP address and port (53 if it is left out) of a DNS server. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, port = text, "53"
    number = int(port)
    if not 0 < number < 65536:
        raise ValueError(text)
    return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), number


class ResolverSettings(Section):
    """How names of upstreams are looked up: for each new connection, as answers are not kept; or see strict_dns."""

    nameserver: Annotated[str, AfterValidator(_nameserver)] | None = None
    """The DNS server to ask, such as 127.0.0.1:5353; unset: the system's resolver, which does not tell the RCODE.
    nginx: resolver, HAProxy: resolvers."""
    retransmit: PositiveDuration = text_default("400ms")
    """How long an answer is waited for before the question is sent again, after a pause that grows; altogether no
    longer than timeouts.connect. HAProxy: timeout retry."""
    strict_dns: bool = False
    """Make every address of an upstream's name an endpoint of its own, as Envoy's cluster type STRICT_DNS does, and
    look the names up again and again. While a lookup fails or takes longer than timeouts.connect, the name itself is
    the endpoint, so that requests tell what is wrong. Weights and draining then go by the addresses found; TLS needs
    upstream_tls.server_name. nginx: server NAME resolve. HAProxy: server-template."""
    refresh_rate: PositiveDuration = text_default("5s")
    """With strict_dns: how long after a lookup the next one begins. Envoy: dns_refresh_rate."""
