"""Which of a resource's stored responses fits a request (RFC 9111 section 4.1). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from badgateway_proxy.policies.caching.fields import Fields, members_of, values_of

Selecting = tuple[tuple[bytes, bytes | None], ...]
"""The request fields that a response depends on, and the values that it was chosen by; None: it was not there."""


def selecting_fields(response: Fields, request: Fields) -> Selecting:
    """What a later request must have in common with ``request`` to be answered by ``response``."""
    names = sorted(set(members_of(values_of(response, b"vary"))))
    return tuple((name, normalized(values_of(request, name))) for name in names)


def matches(selecting: Selecting, request: Fields) -> bool:
    """Whether ``request`` agrees in all of them."""
    return all(normalized(values_of(request, name)) == value for name, value in selecting)


def normalized(lines: Sequence[bytes]) -> bytes | None:
    """The lines of a field as one value, without the spaces around commas; None where there are no lines.

    What is quoted may hold commas and spaces that count, and so is left as it is.
    """
    if not lines:
        return None
    joined = b",".join(lines)
    if b'"' in joined:
        return joined.strip(b" \t")
    return b",".join(part.strip(b" \t") for part in joined.split(b","))
