"""Mandatory extensions of requests (RFC 2774, which has been Historic since 2021). No I/O.

A mandatory request says so in its method (M-GET), and declares in Man what its recipient must understand. A server that
does not understand all of it answers 510; a server may also demand an extension, by a 510 that says which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "M-"
MOST: Final = 20
"""Declarations of one request."""

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_DECLARATION: Final = re.compile(rf'\s*+"([^"\s]{{1,500}})"((?:\s*+;\s*+{_NAME}\s*+(?:=\s*+[^\s;,"]++)?+)*+)\s*+')
"""Never goes back: a client must not choose how long this takes."""
_NAMESPACE: Final = re.compile(r";\s*ns\s*=\s*([0-9]{2,})\s*(?:;|\Z)")


class NotExtendedError(Exception):
    """The request does not have, or has too much of, what its recipient must understand: 510."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """An extension that a request declares: its identifier, and the prefix of its own fields ("16-"), if any."""

    identifier: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Mandatory:
    """A mandatory request: the method that is meant, and what it declares, end-to-end and for one hop only."""

    method: str
    declared: tuple[Declaration, ...]
    hop_by_hop: tuple[Declaration, ...] = ()


def is_mandatory(method: str) -> bool:
    """Whether a method says that the request is mandatory."""
    return method.startswith(PREFIX)


def mandatory(method: str, fields: Iterable[tuple[str, str]]) -> Mandatory:
    """Read what a mandatory request declares (RFC 2774 sections 3 and 5). Raises NotExtendedError.

    A method with the prefix and no declaration is a 510 as well.
    """
    headers = [(name.lower(), value) for name, value in fields]
    declared = _declarations([value for name, value in headers if name == "man"])
    hop_by_hop = _declarations([value for name, value in headers if name == "c-man"])
    if not declared and not hop_by_hop:
        raise NotExtendedError(f"{method} needs a declaration of what is mandatory, in Man")
    return Mandatory(method.removeprefix(PREFIX), declared, hop_by_hop)


def understood(request: Mandatory, known: Sequence[str]) -> None:
    """Check that everything that is declared is among ``known``. Raises NotExtendedError.

    What is declared for one hop only is not, as nothing of that kind is known here.
    """
    unknown = [each.identifier for each in request.declared if each.identifier not in known]
    unknown += [each.identifier for each in request.hop_by_hop]
    if unknown:
        raise NotExtendedError(f"this resource does not know the extension {unknown[0]}")


def extension_field(request: Mandatory, identifier: str, name: str, fields: Iterable[tuple[str, str]]) -> str | None:
    """The value of an extension's own field: ``16-Version`` for Version where it was declared with ns=16."""
    prefixes = [each.prefix for each in request.declared if each.identifier == identifier and each.prefix]
    wanted = {f"{prefix}{name}".lower() for prefix in prefixes}
    return next((value for key, value in fields if key.lower() in wanted), None)


def _declarations(values: Sequence[str]) -> tuple[Declaration, ...]:
    found: list[Declaration] = []
    for value in values:
        position = 0
        while position <= len(value):
            match = _DECLARATION.match(value, position)
            if match is None or value[match.end() : match.end() + 1] not in ("", ",") or len(found) >= MOST:
                raise NotExtendedError(
                    'a declaration is an identifier in quotes, such as Man: "http://a.example/b"; ns=16'
                )
            namespace = _NAMESPACE.search(match[2])
            found.append(Declaration(match[1], f"{namespace[1]}-" if namespace is not None else ""))
            position = match.end() + 1
    return tuple(found)
