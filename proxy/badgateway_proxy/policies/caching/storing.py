"""Which responses a shared cache may store, and what of them (RFC 9111 section 3). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.policies.caching.directives import Directives
from badgateway_proxy.policies.caching.fields import Fields, members_of, values_of
from badgateway_proxy.policies.caching.freshness import HEURISTIC_STATUSES, Freshness

_UNDERSTOOD: Final = frozenset(status.value for status in HTTPStatus) - {206, 304}
_FIRST_FINAL: Final = 200
_FIRST_ERROR_OF_SERVERS: Final = 500
_PARTIAL: Final = frozenset((206, 304))
"""Parts of, or words about, another response; completing one from parts is not done here."""

NOT_STORED: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        # About the one exchange that it came with, or written anew for each answer:
        b"age",
        b"content-length",
        b"proxy-status",
        b"x-request-id",
    )
)
"""RFC 9111 section 3.1: fields that stay out of the store."""

MOST_TAGS: Final = 128
"""Tags kept of one response."""


def why_not_stored(
    method: str,
    asked: Directives,
    status: int,
    said: Directives,
    fresh: Freshness,
    fields: Fields,
    *,
    authorized: bool,
) -> str | None:
    """Why a response must not be stored, or would be of no use; None where it may be.

    Args:
        method: of the request.
        asked: what the request says.
        status: of the response.
        said: what the response says to this cache.
        fresh: what it could be used for.
        fields: its header section.
        authorized: whether the request had an Authorization field (RFC 9111 section 3.5).
    """
    shared = said.public or said.must_revalidate or said.s_maxage is not None
    obstacles = (
        ("method", method != "GET"),
        ("status", status < _FIRST_FINAL or status in _PARTIAL),
        ("must-understand", said.must_understand and status not in _UNDERSTOOD),
        ("no-store", asked.no_store or (said.no_store and not said.must_understand)),
        ("private", said.private),
        ("authorization", authorized and not shared),
        ("vary", b"*" in members_of(values_of(fields, b"vary"))),
    )
    return next((why for why, is_one in obstacles if is_one), None) or _why_useless(status, fresh, fields)


def _why_useless(status: int, fresh: Freshness, fields: Fields) -> str | None:
    if fresh.lifetime > 0:
        return None
    if status not in HEURISTIC_STATUSES or status >= _FIRST_ERROR_OF_SERVERS:
        return "status"
    useful = not fresh.never_stale and (fresh.while_revalidating > 0 or fresh.on_error > 0)
    return None if useful or has_validator(fields) else "no freshness, no validator"


def has_validator(fields: Fields) -> bool:
    """Whether the origin can be asked whether it still holds (RFC 9110 section 8.8)."""
    return any(name.lower() in (b"etag", b"last-modified") for name, _ in fields)


def stored_fields(fields: Fields, said: Directives, connection: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """What is stored of a header section.

    Args:
        fields: as received.
        said: what it says to this cache; fields that it names in no-cache or private are left out.
        connection: the value of each of its Connection fields; what they list ends at this hop.
    """
    left_out = NOT_STORED | said.unstored | set(members_of(connection))
    return [(name, value) for name, value in fields if name.lower() not in left_out]


def tags_of(fields: Fields, settings: CacheSettings) -> frozenset[bytes]:
    """The tags that a response can be purged by."""
    names = {name.lower().encode() for name in settings.tags}
    found: list[bytes] = []
    for name, value in fields:
        if name.lower() in names:
            found += value.replace(b",", b" ").split()
    return frozenset(found[:MOST_TAGS])
