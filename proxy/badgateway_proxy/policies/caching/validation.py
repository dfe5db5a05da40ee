"""Asking the origin whether a stored response still holds, and answering clients that ask the same. Pure.

RFC 9111 sections 3.2 (a 304 updates what is stored), 4.3 (validation); RFC 9110 section 13 (conditional requests).
"""

from __future__ import annotations

import re
from typing import Final

from badgateway_proxy.policies.caching.dates import parse_date
from badgateway_proxy.policies.caching.fields import Fields, first_of, values_of
from badgateway_proxy.policies.caching.storing import NOT_STORED

CONDITIONS: Final = frozenset(
    (b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range")
)
"""Request fields that make it conditional (RFC 9110 section 13.1)."""

_ENTITY_TAG: Final = re.compile(rb'(?:W/)?"[!#-~\x80-\xff]*"')
_IN_NOT_MODIFIED: Final = frozenset(
    (b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary", b"via")
)


def conditions_for(stored: Fields) -> list[tuple[bytes, bytes]]:
    """The fields by which the origin can tell whether ``stored`` still holds (RFC 9111 section 4.3.1)."""
    conditions = []
    etag, modified = first_of(stored, b"etag"), first_of(stored, b"last-modified")
    if etag is not None:
        conditions.append((b"If-None-Match", etag))
    if modified is not None:
        conditions.append((b"If-Modified-Since", modified))
    return conditions


def confirms(received: Fields, stored: Fields) -> bool:
    """Whether a 304's fields are about ``stored`` (RFC 9111 section 4.3.4): it must not name another version."""
    new, old = first_of(received, b"etag"), first_of(stored, b"etag")
    if new is not None:
        return old is not None and _opaque(new) == _opaque(old)
    modified, known = first_of(received, b"last-modified"), first_of(stored, b"last-modified")
    return modified is None or known is None or modified == known


def updated(stored: Fields, received: Fields, left_out: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """``stored`` with the fields of a 304 (or of a 200 to HEAD) in place of its own (RFC 9111 section 3.2).

    Args:
        stored: what is stored.
        received: the header section that came.
        left_out: names, in lower case, that its Connection and Cache-Control say are not to be stored.
    """
    # Of the representation itself a 304 says nothing: its length and range stay those of the body that is stored.
    dropped = NOT_STORED | left_out | {b"content-range"}
    fresh = [(name, value) for name, value in received if name.lower() not in dropped]
    replaced = {name.lower() for name, _ in fresh}
    return [*((name, value) for name, value in stored if name.lower() not in replaced), *fresh]


def not_modified(request: Fields, stored: Fields, status: int) -> bool:
    """Whether the client has what is stored already, so that a 304 is its answer (RFC 9111 section 4.3.2)."""
    if not 200 <= status < 300:
        return False
    lines = values_of(request, b"if-none-match")
    if lines:
        wanted = b",".join(lines).strip()
        etag = first_of(stored, b"etag")
        if wanted == b"*":
            return True
        return etag is not None and _opaque(etag) in map(_opaque, _tags(wanted))
    since = first_of(request, b"if-modified-since")
    if since is None:
        return False
    known = parse_date(since)
    modified = first_of(stored, b"last-modified")
    changed = parse_date((first_of(stored, b"date") or b"") if modified is None else modified)
    return known is not None and changed is not None and changed <= known


def in_not_modified(stored: Fields) -> list[tuple[bytes, bytes]]:
    """The fields of ``stored`` that a 304 carries (RFC 9110 section 15.4.5)."""
    names = _IN_NOT_MODIFIED if first_of(stored, b"etag") is not None else _IN_NOT_MODIFIED | {b"last-modified"}
    return [(name, value) for name, value in stored if name.lower() in names]


def _tags(text: bytes) -> list[bytes]:
    """The entity tags in a list; a single one may stand without its quotes, as some clients send it."""
    found = _ENTITY_TAG.findall(text)
    return found or [text.strip()]


def _opaque(etag: bytes) -> bytes:
    """What weak comparison compares (RFC 9110 section 8.8.3.2)."""
    return etag.strip().removeprefix(b"W/")
