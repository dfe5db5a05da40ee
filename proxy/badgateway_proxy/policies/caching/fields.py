"""Looking up header fields in a section as it was received."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Fields = Sequence[tuple[bytes, bytes]]
"""A header section: names as spelt, values as sent, in order."""


def values_of(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> tuple[bytes, ...]:
    """Each line of the field ``name`` (in lower case)."""
    return tuple(value for key, value in fields if key.lower() == name)


def first_of(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first line of the field ``name`` (in lower case), None where there is none."""
    return next((value for key, value in fields if key.lower() == name), None)


def members_of(lines: Iterable[bytes]) -> list[bytes]:
    """The members of a comma-separated list over all its lines, in lower case, without empty ones."""
    return [member for line in lines for part in line.split(b",") if (member := part.strip().lower())]
