"""From request targets to path segments, and back to hrefs."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

ROOT: Final = "/dav"
"""Where the store is mounted."""
LONGEST_SEGMENT: Final = 255
"""Bytes of a name, as in most file systems."""
_SAFE: Final = "!$&'()*+,;=:@"

Segments = tuple[str, ...]


class PathError(ValueError):
    """A path that can name nothing here."""


def mounted(path: str) -> bool:
    """Whether a path without its query leads into the store."""
    return path == ROOT or path.startswith(ROOT + "/")


def segments_of(path: str) -> Segments:
    """The names on the way from the store's root to ``path``; a slash at its end means nothing. Raises PathError."""
    if not mounted(path):
        raise PathError(f"{path[:200]} is not below {ROOT}/")
    rest = path[len(ROOT) + 1 :]
    return tuple(_segment(part) for part in rest.removesuffix("/").split("/")) if rest else ()


def name_of(segment: str) -> str:
    """A DAV:segment as the name that it is (RFC 5842 section 4: written as in a URL). Raises PathError."""
    if "/" in segment:
        raise PathError("a segment has no slash")
    return _segment(segment)


def source_of(href: str, host: str | None) -> Segments | None:
    """The segments that a DAV:href means; None if it is on another server than ``host``. Raises PathError."""
    try:
        parts = urlsplit(href)
    except ValueError as error:
        raise PathError(f"the href is no URL: {error}") from error
    if parts.netloc and parts.netloc.lower() != (host or "").lower():
        return None
    return segments_of(parts.path)


def href_of(segments: Segments, *, collection: bool) -> str:
    """The path of a resource; that of a collection ends with a slash."""
    path = "/".join((ROOT, *(quote(segment, safe=_SAFE) for segment in segments)))
    return path + "/" if collection else path


def _segment(part: str) -> str:
    try:
        name = unquote_to_bytes(part.encode("latin-1", "strict")).decode()
    except ValueError as error:
        raise PathError("a path segment must be UTF-8, percent-encoded") from error
    if name in ("", ".", "..") or "/" in name or not name.isprintable() or len(name.encode()) > LONGEST_SEGMENT:
        raise PathError(f"a name is 1 to {LONGEST_SEGMENT} printable bytes without a slash, and not . or ..")
    return name
