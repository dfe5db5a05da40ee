"""What a request means to a cache; the same for all requests with the same head."""

from __future__ import annotations

from badgateway_proxy.policies.caching.directives import NONE, Directives, request_directives
from badgateway_proxy.policies.caching.fields import Fields
from badgateway_proxy.policies.caching.invalidation import Resource
from badgateway_proxy.policies.caching.validation import CONDITIONS
from badgateway_proxy.transport.headers import FieldNames
from badgateway_proxy.transport.request import Request

_TELLING = FieldNames(CONDITIONS | {b"host", b"cache-control", b"pragma", b"range", b"authorization"})


class Asked:
    """A request as a cache sees it.

    Args:
        request: an admissible one.
        obey_clients: whether its Cache-Control counts.
    """

    __slots__ = ("authorized", "conditional", "directives", "fields", "method", "plain", "ranged", "resource", "served")

    def __init__(self, request: Request, *, obey_clients: bool) -> None:
        #: The request's header section.
        self.fields: Fields = request.raw_headers
        self.method = request.method
        telling = {name: value for field, value in self.fields if (name := _TELLING[field])}
        absolute = request.target is not request.message.path
        host = request.message.url.raw_authority if absolute else telling.pop(b"host", b"").decode("latin-1")
        #: What it is about.
        self.resource: Resource = (host.strip().lower(), request.target)
        says = b"cache-control" in telling or b"pragma" in telling
        #: What it says about caching.
        self.directives: Directives = request_directives(self.fields) if says and obey_clients else NONE
        self.authorized = b"authorization" in telling
        self.conditional = not CONDITIONS.isdisjoint(telling)
        #: Whether it asks for part of the resource.
        self.ranged = b"range" in telling and self.method == "GET"
        #: Whether a stored response that is fresh is its answer, as it is.
        self.plain = self.method == "GET" and not (self.conditional or self.ranged or self.directives is not NONE)
        #: Whether a cache has to do with it: a body or another protocol is between client and origin.
        self.served = self.method in ("GET", "HEAD") and request.upgrade is None

    @property
    def shareable(self) -> bool:
        """Whether its answer may be somebody else's too, as far as the request says (request collapsing)."""
        return self.method == "GET" and not (
            self.conditional or self.ranged or self.authorized or self.directives.no_store or self.directives.no_cache
        )
