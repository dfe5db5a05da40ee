"""What a client would rather have: the Accept field (RFC 9110 section 12.5.1), q-values and all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_QUALITY: Final = re.compile(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """The media type among ``offered`` (``type/subtype``, best first) that ``accept`` rates highest.

    The earlier one wins a tie; the first also wins when nothing was asked for, and when nothing offered is
    acceptable: an error in the wrong format helps more than a 406 in its place. Never raises.
    """
    if not accept:
        return offered[0]
    ranges = [_range(part) for part in accept.split(",")]
    best, best_quality = offered[0], 0.0
    for media_type in offered:
        quality = _quality(media_type, ranges)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def _range(text: str) -> tuple[str, float]:
    """A media range and its quality; parameters of the media type itself are left aside."""
    name, *parameters = (piece.strip().lower() for piece in text.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return name, float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
    return name, 1.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers ``media_type`` (section 12.5.1: precedence)."""
    kind = media_type.partition("/")[0]
    for pattern in (media_type, f"{kind}/*", "*/*"):
        found = [quality for name, quality in ranges if name == pattern]
        if found:
            return max(found)
    return 0.0
