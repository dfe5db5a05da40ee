"""Parts of a stored response (RFC 9110 section 14; RFC 9111 section 3.4). Pure.

One range is served. Several at a time, and ranges of other units than bytes, are ignored as the RFC allows: the
answer is then the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from badgateway_proxy.policies.caching.dates import parse_date
from badgateway_proxy.policies.caching.fields import Fields, first_of

_ONE: Final = re.compile(rb"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` up to ``stop`` (not included) of ``length``."""

    start: int
    stop: int
    length: int

    @property
    def content_range(self) -> bytes:
        """The value of Content-Range."""
        return b"bytes %d-%d/%d" % (self.start, self.stop - 1, self.length)


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """None of the bytes asked for are there: 416."""

    length: int

    @property
    def content_range(self) -> bytes:
        """The value of Content-Range."""
        return b"bytes */%d" % self.length


def part_of(request: Fields, stored: Fields, length: int) -> Part | Unsatisfiable | None:
    """The part of a stored 200 that a GET asks for; None for the whole.

    Args:
        request: the request's header section.
        stored: the stored one.
        length: of the whole body, in bytes.
    """
    asked = first_of(request, b"range")
    match = None if asked is None else _ONE.fullmatch(asked)
    if match is None or not _still_whole(request, stored):
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        count = int(suffix)
        start, stop = max(0, length - count), length
        if count == 0:
            return Unsatisfiable(length)
    else:
        start = int(first)
        stop = min(int(last) + 1, length) if last else length
        if last and int(last) < start:
            return None  # no valid range, and so ignored
    return Part(start, stop, length) if start < stop else Unsatisfiable(length)


def _still_whole(request: Fields, stored: Fields) -> bool:
    """Whether If-Range, if there is one, names what is stored (RFC 9110 section 13.1.5)."""
    condition = first_of(request, b"if-range")
    if condition is None:
        return True
    condition = condition.strip()
    if condition.endswith(b'"'):
        return not condition.startswith(b"W/") and condition == first_of(stored, b"etag")
    modified, date = first_of(stored, b"last-modified"), parse_date(first_of(stored, b"date") or b"")
    known = parse_date(condition)
    if known is None or modified is None or date is None or parse_date(modified) != known:
        return False
    return date - known >= 1  # else it is a weak validator (RFC 9110 section 8.8.2.2)
