"""The requests that a cache makes of a client's: with conditions of its own, or with none."""

from __future__ import annotations

from copy import copy

from badgateway_proxy.policies.caching.fields import Fields
from badgateway_proxy.policies.caching.validation import CONDITIONS, conditions_for
from badgateway_proxy.transport.request import Request

_FOR_THE_WHOLE = CONDITIONS | {b"range"}
_OF_THE_CLIENT = _FOR_THE_WHOLE | {b"cache-control", b"pragma", b"x-request-id"}


def with_conditions(request: Request, stored: Fields) -> Request | None:
    """The same request, but asking whether ``stored`` still holds; None where that cannot be asked.

    The client's own conditions, and its Range, are for the cache to apply to what comes of that.
    """
    conditions = conditions_for(stored)
    if not conditions:
        return None
    return _with_fields(request, [*_without(request.raw_headers, _FOR_THE_WHOLE), *conditions])


def unconditional(request: Request) -> Request:
    """A GET for the whole of what a request is about, with nothing of what its client wants to be special."""
    plain = _with_fields(request, _without(request.raw_headers, _OF_THE_CLIENT))
    plain.method, plain.id = "GET", None
    return plain


def _without(fields: Fields, names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0].lower() not in names]


def _with_fields(request: Request, fields: Fields) -> Request:
    other = copy(request)
    other.raw_headers = tuple(fields)
    other.forwarded = other.asked = None
    return other
