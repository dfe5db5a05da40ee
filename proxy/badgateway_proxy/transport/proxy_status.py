"""The Proxy-Status field (RFC 9209): this hop's member written, everybody's members read.

It is an RFC 8941 list: the first member is nearest the origin, each hop appends its own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Value = str | int | float | bool | bytes

_LONGEST_DETAILS: Final = 256
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*")  # printable ASCII but for " and \
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,3})?")
_KEY: Final = re.compile(r"[a-z*][a-z0-9_\-.*]*", re.IGNORECASE)
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BINARY: Final = re.compile(r":([A-Za-z0-9+/=]*):")
_BOOLEAN: Final = re.compile(r"\?([01])")
_SPACE: Final = re.compile(r"[ \t]*")
_TO_COMMA: Final = re.compile(r"[^,]*")


def quoted(text: str) -> str:
    """``text`` as an RFC 8941 string; what is not printable ASCII becomes an escape such as ``\\xe9``."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    visible = "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text)
    return '"' + visible.replace("\\", "\\\\").replace('"', '\\"') + '"'


def member(
    name: str,
    *,
    error: str | None = None,
    details: str | None = None,
    next_hop: str | None = None,
    received_status: int | None = None,
    next_protocol: str | None = None,
    extra: Mapping[str, str | int] | None = None,
) -> str:
    """This hop's member, such as ``lb; error=connection_refused; next-hop="127.0.0.1:9001"``.

    ``name``, ``error`` and ``next_protocol`` must be RFC 8941 tokens (configuration and enum see to that).
    ``details`` is cut after 256 characters. ``extra``: an error type's own parameters (RFC 9209 section 2.3);
    text is sent as a string.
    """
    text = name
    if error is not None:
        text += f"; error={error}"
    if next_hop is not None:
        text += f"; next-hop={quoted(next_hop)}"
    if next_protocol is not None:
        text += f"; next-protocol={next_protocol}"
    if received_status is not None:
        text += f"; received-status={received_status}"
    if extra:
        for key, value in extra.items():
            text += f"; {key}={value if isinstance(value, int) else quoted(value)}"
    if details is not None:
        text += f"; details={quoted(details[:_LONGEST_DETAILS])}"
    return text


@dataclass(frozen=True, slots=True)
class ProxyStatusMember:
    """One hop's member: its name, and its parameters by their names, last one wins."""

    name: str
    params: Mapping[str, Value] = field(default_factory=dict)

    @property
    def error(self) -> str | None:
        """The error type's token. Not necessarily one that we know."""
        value = self.params.get("error")
        return value if isinstance(value, str) else None

    @property
    def details(self) -> str | None:
        """The free text that goes with it."""
        value = self.params.get("details")
        return value if isinstance(value, str) else None

    @property
    def next_hop(self) -> str | None:
        """Where the hop sent the request, or would have."""
        value = self.params.get("next-hop")
        return value if isinstance(value, str) else None

    @property
    def received_status(self) -> int | None:
        """The status that the next hop answered with."""
        value = self.params.get("received-status")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def decided_by(members: Sequence[ProxyStatusMember]) -> ProxyStatusMember | None:
    """The member of the hop that made the response: the first that bears an error. None: the origin did."""
    return next((each for each in members if each.error is not None), None)


def parse_proxy_status(text: str) -> list[ProxyStatusMember]:
    """Return the members in a field value, nearest the origin first; join several field lines with commas.

    Lenient, and never raises: RFC 8941 would drop the whole field for one bad character, but whoever looks
    for the culprit wants what can be read. What cannot is left out up to the next comma.
    """
    return list(_members(text))


def _members(text: str) -> Iterator[ProxyStatusMember]:
    position = 0
    while position < len(text):
        position = _after(_SPACE, text, position)
        name, position = _bare_item(text, position)
        if isinstance(name, str) and name:
            params, position = _parameters(text, position)
            yield ProxyStatusMember(name, params)
        position = _after(_TO_COMMA, text, position) + 1


def _parameters(text: str, position: int) -> tuple[dict[str, Value], int]:
    params: dict[str, Value] = {}
    while True:
        start = _after(_SPACE, text, position)
        if not text.startswith(";", start):
            return params, position
        position = _after(_SPACE, text, start + 1)
        key = _KEY.match(text, position)
        if key is None:
            return params, position
        position = key.end()
        value: Value | None = True
        if text.startswith("=", position):
            value, position = _bare_item(text, position + 1)
        if value is None:
            return params, position
        params[key[0].lower()] = value


def _bare_item(text: str, position: int) -> tuple[Value | None, int]:
    """The item at ``position`` and where it ends; None where there is none."""
    if match := _STRING.match(text, position):
        return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), match.end()
    if match := _TOKEN.match(text, position):
        return match[0], match.end()
    if match := _NUMBER.match(text, position):
        return float(match[0]) if "." in match[0] else int(match[0]), match.end()
    if match := _BOOLEAN.match(text, position):
        return match[1] == "1", match.end()
    match = _BINARY.match(text, position)
    return (_decoded(match[1]), match.end()) if match else (None, position)


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
