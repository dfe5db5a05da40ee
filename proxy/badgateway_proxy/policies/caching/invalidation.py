"""What an unsafe request makes of stored responses (RFC 9111 section 4.4). Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

from badgateway_proxy.policies.caching.fields import Fields, first_of

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
"""RFC 9110 section 9.2.1."""

Resource = tuple[str, str]
"""A resource's authority (in lower case) and its target, path and query: what a stored response is found by."""


def invalidated(method: str, resource: Resource, status: int, response: Fields) -> list[Resource]:
    """The resources whose stored responses must not be used any more, the request's own first.

    Args:
        method: of the request.
        resource: what it was about.
        status: of the response; an error changes nothing.
        response: its header section; Location and Content-Location count, on the same host.
    """
    if method in SAFE or not 200 <= status < 400:
        return []
    found = [resource]
    for name in (b"location", b"content-location"):
        value = first_of(response, name)
        other = None if value is None else _resolved(resource, value.decode("latin-1").strip())
        if other is not None and other not in found:
            found.append(other)
    return found


def _resolved(resource: Resource, reference: str) -> Resource | None:
    authority, target = resource
    try:
        parts = urlsplit(urljoin(f"http://{authority}{target}", reference))
    except ValueError:
        return None
    if parts.netloc.lower() != authority:
        return None  # another host's: not this origin's to say (RFC 9111 section 4.4)
    path = parts.path or "/"
    return authority, f"{path}?{parts.query}" if parts.query else path
