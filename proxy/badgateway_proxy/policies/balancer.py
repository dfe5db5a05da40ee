"""What an endpoint is, and what chooses among endpoints. Pure: no sockets, no clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_PORTS: Final = {"http": "80", "https": "443"}
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that a hop can send to. ``text`` is ``host:port``, as records and Proxy-Status show it.

    ``tls``: whether TLS is spoken to it.
    """

    host: str
    port: int
    text: str
    tls: bool = False


def parse_endpoint(upstream: str) -> Endpoint:
    """Return the endpoint that ``http://host:port``, ``https://host:port`` or ``host:port`` (plain) names.

    The port is 80, or 443 for https, when left out; an IPv6 address stands in brackets. Raises ``ValueError`` with a
    sentence for anything else: another scheme, a path, user info, a port out of range.
    """
    scheme, separator, rest = upstream.rpartition("://")
    if separator and scheme.lower() not in _PORTS:
        raise ValueError(f"an upstream is http or https, such as http://127.0.0.1:9001; {scheme} is not supported")
    scheme = scheme.lower() or "http"
    rest = rest.removesuffix("/")
    if any(mark in rest for mark in "/?#@"):
        raise ValueError("an upstream is an address only, such as http://127.0.0.1:9001: no path, query or user")
    host, port_text = _split_port(rest, _PORTS[scheme])
    if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text[:6]) < 65536):
        raise ValueError(f"{port_text[:20]!r} is no port: write a number from 1 to 65535")
    port = int(port_text)
    return Endpoint(host, port, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", scheme == "https")


def _split_port(authority: str, default: str) -> tuple[str, str]:
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        if not bracket or not re.fullmatch(r"[0-9A-Fa-f:.]+", host) or (port and not port.startswith(":")):
            raise ValueError(f"{authority[:60]!r} is no address: write IPv6 as [::1]:9001")
        return host, port[1:] if port else default
    host, colon, port = authority.partition(":")
    if not _NAME.fullmatch(host):
        raise ValueError(f"{authority[:60]!r} is no address: write host:port, such as 127.0.0.1:9001")
    return host, port if colon else default


class EndpointState:
    """An endpoint and what a hop knows of it. One for each address, for as long as the address is configured.

    ``weight``: its share of the requests, relative to the others. ``active``: attempts under way. ``since``: when
    it was added or came back, in seconds of the policies' clock (slow start counts from there). ``draining``: it
    gets no new requests. ``healthy``: what active health checks say; ``ejected``: what outlier ejection says.
    """

    __slots__ = ("active", "draining", "ejected", "endpoint", "healthy", "since", "weight")

    def __init__(self, endpoint: Endpoint, now: float = 0.0, weight: int = 1) -> None:
        self.endpoint = endpoint
        self.weight = weight
        self.active = 0
        self.since = now
        self.draining = False
        self.healthy = True
        self.ejected = False

    def __repr__(self) -> str:
        return f"<EndpointState {self.endpoint.text}>"


Rand = Callable[[], float]
"""Uniform in [0, 1)."""

Weigh = Callable[[EndpointState, float], float]
"""What an endpoint's weight is worth at a time, in seconds of the policies' clock; more than 0."""


class Balancer(Protocol):
    """Chooses one of the endpoints that are available."""

    def update(self, endpoints: Sequence[EndpointState]) -> None:
        """Choose among these from now on; at least one. What goes on from before (whose turn it is) does."""

    def pick(self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None) -> EndpointState:
        """The endpoint for an attempt.

        One of ``tried``, those that this exchange has tried already, only when there is no other. ``now``: seconds
        of the policies' clock. ``key``: what requests that belong together have in common, for those that hash.
        """


def untried(endpoints: Sequence[EndpointState], tried: Collection[EndpointState]) -> Sequence[EndpointState]:
    """Those of the endpoints that were not tried, or all of them if all were."""
    return [each for each in endpoints if each not in tried] or endpoints
