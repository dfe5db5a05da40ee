"""Cache directives: Cache-Control as RFC 9111 section 5.2 reads it, targeted fields as RFC 9213 does. Pure.

Cache-Control is read leniently, but for freshness: what cannot be read there counts as stale (RFC 9111 section
4.2.1). A targeted field is a structured field (RFC 8941), and as such valid as a whole or not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from badgateway_proxy.policies.caching.fields import Fields, members_of, values_of

MOST_SECONDS: Final = 2**31
"""The largest delta-seconds; RFC 9111 section 1.2.2 has larger ones mean this."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_DIRECTIVE: Final = re.compile(rb"[ \t,]*(" + _TOKEN + rb')(?:=(?:"((?:[^"\\]|\\.)*)"|([^,]*)))?', re.DOTALL)
_TO_COMMA: Final = re.compile(rb"[^,]*")


@dataclass(frozen=True, slots=True)
class Directives:
    """What a Cache-Control field, or a targeted one, says. Times are seconds; None: nothing is said."""

    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    s_maxage: float | None = None
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None
    min_fresh: float | None = None
    max_stale: float | None = None
    """``inf`` where any staleness will do."""
    unstored: frozenset[bytes] = field(default=frozenset())
    """Fields that ``no-cache="…"`` and ``private="…"`` name: stored without them, the rest may be reused."""


NONE: Final = Directives()


def request_directives(fields: Fields) -> Directives:
    """What a request says: Cache-Control, or where there is none, Pragma: no-cache (RFC 9111 section 5.4)."""
    lines = values_of(fields, b"cache-control")
    if lines:
        return parse_cache_control(lines)
    if b"no-cache" in members_of(values_of(fields, b"pragma")):
        return Directives(no_cache=True)
    return NONE


def response_directives(fields: Fields, targeted: Sequence[bytes] = ()) -> Directives:
    """What a response says to this cache.

    Args:
        fields: its header section.
        targeted: names of the targeted fields that are meant for this cache, in lower case, the most specific first.
            The first that is there, valid and not empty counts instead of Cache-Control (RFC 9213 section 2.2).
    """
    for name in targeted:
        lines = values_of(fields, name)
        if lines and (found := parse_targeted(b", ".join(lines))):
            return _directives_of(found)
    lines = values_of(fields, b"cache-control")
    return parse_cache_control(lines) if lines else NONE


@lru_cache(maxsize=512)
def parse_cache_control(lines: tuple[bytes, ...]) -> Directives:
    """Read Cache-Control; of a directive that comes again the first counts."""
    found: dict[bytes, bytes | None] = {}
    for line in lines:
        position = 0
        while position < len(line):
            match = _DIRECTIVE.match(line, position)
            if match is not None:
                position = match.end()
                value = match[2] if match[2] is not None else match[3]
                found.setdefault(match[1].lower(), value)
            junk = _TO_COMMA.match(line, position)
            position = (position if junk is None else junk.end()) + 1
    return _lenient(found)


def _lenient(found: Mapping[bytes, bytes | None]) -> Directives:
    unstored = frozenset(
        name for key in (b"no-cache", b"private") if found.get(key) for name in members_of([found[key] or b""])
    )
    max_stale: float | None = None
    if b"max-stale" in found:
        max_stale = float("inf") if found[b"max-stale"] is None else _seconds(found[b"max-stale"])
    return Directives(
        no_store=b"no-store" in found,
        no_cache=b"no-cache" in found and not found[b"no-cache"],
        private=b"private" in found and not found[b"private"],
        public=b"public" in found,
        must_revalidate=b"must-revalidate" in found,
        proxy_revalidate=b"proxy-revalidate" in found,
        must_understand=b"must-understand" in found,
        only_if_cached=b"only-if-cached" in found,
        # What cannot be read is stale (RFC 9111 section 4.2.1).
        max_age=(_seconds(found[b"max-age"]) or 0.0) if b"max-age" in found else None,
        s_maxage=(_seconds(found[b"s-maxage"]) or 0.0) if b"s-maxage" in found else None,
        stale_while_revalidate=_seconds(found.get(b"stale-while-revalidate")),
        stale_if_error=_seconds(found.get(b"stale-if-error")),
        min_fresh=_seconds(found.get(b"min-fresh")),
        max_stale=max_stale,
        unstored=unstored,
    )


def _seconds(value: bytes | None) -> float | None:
    if value is None or not value.isdigit():
        return None
    return float(min(int(value[:20]), MOST_SECONDS)) if len(value) < 20 else float(MOST_SECONDS)


# -- targeted fields -----------------------------------------------------------------------------------

_KEY: Final = re.compile(rb"[a-z*][a-z0-9_\-.*]*")
_INTEGER: Final = re.compile(rb"-?[0-9]{1,15}(?![0-9.])")
_OTHER_ITEM: Final = re.compile(
    rb'-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9])|"(?:[ !#-\[\]-~]|\\["\\])*"'
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*|:[A-Za-z0-9+/=]*:"
)
_BOOLEAN: Final = re.compile(rb"\?([01])")
_SPACES: Final = re.compile(rb" *")
_OPTIONAL_SPACE: Final = re.compile(rb"[ \t]*")


class _InvalidError(Exception):
    """It is no structured field."""


@lru_cache(maxsize=512)
def parse_targeted(value: bytes) -> Mapping[bytes, int | bool | None] | None:
    """Read a dictionary (RFC 8941 section 4.2.2): its integers and booleans, None for members of other types.

    None where the field is not valid as a whole.
    """
    try:
        return _dictionary(value.strip(b" "))
    except _InvalidError:
        return None


def _dictionary(text: bytes) -> Mapping[bytes, int | bool | None]:
    found: dict[bytes, int | bool | None] = {}
    at = 0
    while at < len(text):
        key = _must(_KEY.match(text, at))
        at = key.end()
        member: int | bool | None = True
        if text[at : at + 1] == b"=":
            member, at = _member(text, at + 1)
        at = _parameters(text, at)
        found[key[0]] = member
        at = _end(_OPTIONAL_SPACE, text, at)
        if at == len(text):
            break
        if text[at : at + 1] != b",":
            raise _InvalidError
        at = _end(_OPTIONAL_SPACE, text, at + 1)
        if at == len(text):  # a comma at the end
            raise _InvalidError
    return found


def _member(text: bytes, at: int) -> tuple[int | bool | None, int]:
    if text[at : at + 1] != b"(":
        return _item(text, at)
    at = _end(_SPACES, text, at + 1)
    while text[at : at + 1] != b")":
        _, at = _item(text, at)
        at = _parameters(text, at)
        if text[at : at + 1] not in (b" ", b")"):
            raise _InvalidError
        at = _end(_SPACES, text, at)
    return None, at + 1


def _item(text: bytes, at: int) -> tuple[int | bool | None, int]:
    if match := _INTEGER.match(text, at):
        return int(match[0]), match.end()
    if match := _BOOLEAN.match(text, at):
        return match[1] == b"1", match.end()
    return None, _must(_OTHER_ITEM.match(text, at)).end()


def _parameters(text: bytes, at: int) -> int:
    while text[at : at + 1] == b";":
        key = _must(_KEY.match(text, _end(_SPACES, text, at + 1)))
        at = key.end()
        if text[at : at + 1] == b"=":
            _, at = _item(text, at + 1)
    return at


def _must(match: re.Match[bytes] | None) -> re.Match[bytes]:
    if match is None:
        raise _InvalidError
    return match


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _directives_of(found: Mapping[bytes, int | bool | None]) -> Directives:
    def flag(name: bytes) -> bool:
        return found.get(name) is True

    def seconds(name: bytes) -> float | None:
        value = found.get(name)
        if isinstance(value, bool) or value is None:
            return None  # RFC 9213 section 2.1: of the wrong type, and so ignored
        return float(min(max(value, 0), MOST_SECONDS))

    return Directives(
        no_store=flag(b"no-store"),
        no_cache=flag(b"no-cache"),
        private=flag(b"private"),
        public=flag(b"public"),
        must_revalidate=flag(b"must-revalidate"),
        proxy_revalidate=flag(b"proxy-revalidate"),
        must_understand=flag(b"must-understand"),
        max_age=seconds(b"max-age"),
        s_maxage=seconds(b"s-maxage"),
        stale_while_revalidate=seconds(b"stale-while-revalidate"),
        stale_if_error=seconds(b"stale-if-error"),
    )
