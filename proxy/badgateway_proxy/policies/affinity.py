"""What keeps requests that belong together at one endpoint: a hash of something they share, or a cookie. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from badgateway_proxy.configuration.balancing_settings import BalancingSettings
from badgateway_proxy.policies.balancer import Endpoint, EndpointState
from badgateway_proxy.policies.maglev import hash_of

RawHeaders = Iterable[tuple[bytes, bytes]]


class Affinity:
    """How a hop tells which requests belong together, by its settings."""

    __slots__ = ("_kind", "_name", "_sticky")

    def __init__(self, settings: BalancingSettings) -> None:
        self._kind, _, name = settings.hash_on.partition(":") if settings.policy == "maglev" else ("", "", "")
        self._name = name.encode() if self._kind == "cookie" else name.lower().encode()
        self._sticky = settings.sticky_cookie.encode() if settings.sticky_cookie else None

    @property
    def on(self) -> bool:
        """Whether anything of a request matters."""
        return bool(self._kind) or self._sticky is not None

    def key_of(self, client: bytes, target: str, raw_headers: RawHeaders) -> bytes | None:
        """What a request shares with those that belong to it; None where it has nothing to go by.

        ``client``: its IP address. ``target``: the path and query that it asks for.
        """
        match self._kind:
            case "client":
                return client
            case "path":
                return target.partition("?")[0].encode("utf-8", "surrogateescape")
            case "header":
                return next((value for name, value in raw_headers if name.lower() == self._name), None)
            case "cookie":
                return next(_cookies(raw_headers, self._name), None)
            case _:
                return None

    def home_of(self, raw_headers: RawHeaders, endpoints: Iterable[EndpointState]) -> EndpointState | None:
        """The endpoint that the request's cookie names, if it is one of these."""
        given = self._given(raw_headers)
        if given is None:
            return None
        return next((each for each in endpoints if cookie_value(each.endpoint) == given), None)

    def cookie_for(self, endpoint: EndpointState, raw_headers: RawHeaders) -> bytes:
        """A Set-Cookie line (CRLF before it) that keeps a client at this endpoint; empty if the client has it already.

        A session cookie (RFC 6265 section 4.1), not for scripts. Its value tells nothing of the address.
        """
        value = cookie_value(endpoint.endpoint)
        if self._sticky is None or self._given(raw_headers) == value:
            return b""
        return b"\r\nSet-Cookie: %b=%b; Path=/; HttpOnly; SameSite=Lax" % (self._sticky, value)

    def _given(self, raw_headers: RawHeaders) -> bytes | None:
        return None if self._sticky is None else next(_cookies(raw_headers, self._sticky), None)


def cookie_value(endpoint: Endpoint) -> bytes:
    """What stands for an endpoint in a cookie: the same in every hop, and after a restart."""
    return b"%016x" % hash_of(endpoint.text.encode(), b"cookie")


def _cookies(raw_headers: RawHeaders, wanted: bytes) -> Iterator[bytes]:
    """The values of a request's cookies of this name (RFC 6265 section 5.4)."""
    for name, value in raw_headers:
        if name.lower() == b"cookie":
            for pair in value.split(b";"):
                key, _, content = pair.strip().partition(b"=")
                if key == wanted:
                    yield content.strip(b'"')
