"""Transparent content negotiation (RFC 2295), as far as a small server needs it. No I/O.

A type map, as Apache's mod_negotiation reads them, lists the variants of a resource. The server chooses among them by
an algorithm of its own, for clients that allow any (Negotiate: *) and for those that know nothing of negotiation; it
knows no standardised one (RFC 2296), so others get the list, which is always allowed. Features are not supported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

TYPE_MAP: Final = "application/x-type-map"
"""The media type of a type map (httpd.apache.org/docs/2.4/mod/mod_negotiation.html)."""
MOST_VARIANTS: Final = 64
LONGEST_LIST: Final = 4096
"""Bytes of a variant list, as it goes into a header."""
VARY: Final = "negotiate, accept, accept-language"

_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,255}")
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_QUALITY: Final = re.compile(r"0(?:\.[0-9]{1,3})?|1(?:\.0{1,3})?")


class TypeMapError(ValueError):
    """A type map that cannot be read."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant: its name beside the negotiable resource, what it is, and how good (1: as good as can be)."""

    uri: str
    content_type: str = ""
    language: str = ""
    quality: float = 1.0


def variants_of(type_map: str) -> tuple[Variant, ...]:
    """Read a type map: blocks with URI, Content-Type (and qs) and Content-Language. Raises TypeMapError."""
    found = tuple(_variant(block) for block in re.split(r"\r?\n[ \t]*\r?\n", type_map) if block.strip())
    if not found or len(found) > MOST_VARIANTS:
        raise TypeMapError(f"a type map has 1 to {MOST_VARIANTS} variants, not {len(found)}")
    if len(alternates(found)) > LONGEST_LIST:
        raise TypeMapError(f"a variant list has at most {LONGEST_LIST} bytes as Alternates")
    return found


def choose(variants: Sequence[Variant], accept: str | None, accept_language: str | None) -> Variant | None:
    """Return the variant of the highest quality for a client, the first of several; None if it wants none of them."""
    types, languages = _preferences(accept), _preferences(accept_language)
    rated = [(v.quality * _of_type(v, types) * _of_language(v, languages), v) for v in variants]
    best, variant = max(rated, key=lambda pair: pair[0])
    return variant if best > 0 else None


def form(negotiate: str | None) -> Literal["choice", "list"]:
    """Whether a client lets the server choose, or wants the list (RFC 2295 section 8.4)."""
    if negotiate is None:
        return "choice"
    directives = {directive.strip().lower() for directive in negotiate.split(",")}
    return "choice" if "*" in directives else "list"


def alternates(variants: Sequence[Variant]) -> str:
    """The variant list as an Alternates field value (RFC 2295 sections 5.1 and 8.3)."""
    return ", ".join(_described(variant) for variant in variants)


def _described(variant: Variant) -> str:
    attributes = "".join(
        f" {{{name} {value}}}"
        for name, value in (("type", variant.content_type), ("language", variant.language))
        if value
    )
    return f'{{"{variant.uri}" {variant.quality:g}{attributes}}}'


def _variant(block: str) -> Variant:
    fields: dict[str, str] = {}
    for line in block.strip().splitlines():
        name, colon, value = line.partition(":")
        if not colon or name.strip().lower() in fields:
            raise TypeMapError(f"no line of a type map: {line[:100]!r}")
        fields[name.strip().lower()] = value.strip()
    uri = fields.get("uri", "")
    if not _NAME.fullmatch(uri):
        # A neighbouring variant (RFC 2295 section 2.2): only for those may a server choose.
        raise TypeMapError(f"URI must be a name in the same folder, not {uri[:100]!r}")
    content_type, *parameters = (part.strip() for part in fields.get("content-type", "").split(";"))
    language = fields.get("content-language", "")
    if content_type and not _MEDIA_TYPE.fullmatch(content_type):
        raise TypeMapError(f"no media type: {content_type[:100]!r}")
    if language and not _LANGUAGE.fullmatch(language):
        raise TypeMapError(f"no language tag: {language[:100]!r}")
    return Variant(uri, content_type.lower(), language.lower(), _source_quality(parameters))


def _source_quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "qs":
            if not _QUALITY.fullmatch(value.strip()):
                raise TypeMapError(f"qs is 0 to 1 with three digits at most, not {value[:20]!r}")
            return float(value)
    return 1.0


def _preferences(field: str | None) -> dict[str, float] | None:
    """What an Accept or Accept-Language prefers, in lower case; None if there is no such field."""
    if field is None:
        return None
    found: dict[str, float] = {}
    for member in field.split(","):
        range_, *parameters = (part.strip().lower() for part in member.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        if range_ and _QUALITY.fullmatch(quality):
            found[range_] = float(quality)
    return found


def _of_type(variant: Variant, preferred: dict[str, float] | None) -> float:
    if preferred is None or not variant.content_type:
        return 1.0
    kind = variant.content_type.partition("/")[0]
    ranges = (variant.content_type, f"{kind}/*", "*/*")  # the most specific counts (RFC 9110 section 12.5.1)
    return next((preferred[range_] for range_ in ranges if range_ in preferred), 0.0)


def _of_language(variant: Variant, preferred: dict[str, float] | None) -> float:
    if preferred is None or not variant.language:
        return 1.0
    parts = variant.language.split("-")
    ranges = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]  # RFC 4647 section 3.3.1
    return next((preferred[range_] for range_ in (*ranges, "*") if range_ in preferred), 0.0)
