"""Which endpoint gets the next attempt. Pure: no sockets, no clock."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

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


class RoundRobin:
    """Endpoints in turn. Raises ``ValueError`` when there is none."""

    __slots__ = ("_next", "endpoints")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        if not endpoints:
            raise ValueError("a balancer needs at least one endpoint")
        self.endpoints = tuple(endpoints)
        self._next = 0

    def pick(self, exclude: Collection[Endpoint] = ()) -> Endpoint:
        """The next endpoint in turn; one of ``exclude`` (those tried already) only when there is no other."""
        endpoints = self.endpoints
        count = len(endpoints)
        start = self._next
        if exclude:
            for offset in range(count):
                candidate = (start + offset) % count
                if endpoints[candidate] not in exclude:
                    start = candidate
                    break
        self._next = (start + 1) % count
        return endpoints[start]
