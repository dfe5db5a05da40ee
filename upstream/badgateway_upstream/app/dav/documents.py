"""WebDAV's XML documents: what a client may send is read within limits, what it gets is written.

A document type declaration is refused, and with it every entity that could expand or fetch something (RFC 4918
section 20.6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from badgateway_upstream.app.answers import reason

LARGEST: Final = 8 * 1024
"""Bytes of a document that a client sends."""
MOST_ELEMENTS: Final = 100
DEEPEST: Final = 16
LONGEST_ANSWER: Final = 4 << 20
"""Bytes of a multi-status: a short request can ask for much, of many resources."""

Name = tuple[str, str]
"""An element's namespace and local name."""


class DocumentError(Exception):
    """A request's document that cannot be read, or says something else than the method needs; a 400."""


class TooLongError(Exception):
    """A multi-status would be longer than any may be."""


@dataclass(slots=True)
class _Element:
    name: Name
    children: list[_Element] = field(default_factory=list)
    text: str = ""

    def only(self, local: str) -> _Element | None:
        """Its child DAV:local, if there is exactly one."""
        found = [child for child in self.children if child.name == ("DAV:", local)]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a PROPFIND asks for: some properties, all that are not costly, or only which ones there are."""

    kind: Literal["prop", "allprop", "propname"]
    names: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Properties:
    """Properties with one status. Values are XML."""

    status: int
    values: tuple[tuple[Name, str], ...]


@dataclass(frozen=True, slots=True)
class Response:
    """What a multi-status says about one resource."""

    href: str
    properties: tuple[Properties, ...]


def propfind(body: bytes) -> Wanted:
    """Read the body of a PROPFIND (RFC 4918 section 9.1); none means allprop. Raises DocumentError."""
    if not body:
        return Wanted("allprop")
    root = _read(body, "propfind")
    prop = root.only("prop")
    if prop is not None:
        return Wanted("prop", tuple(dict.fromkeys(child.name for child in prop.children)))
    if root.only("propname") is not None:
        return Wanted("propname")
    if root.only("allprop") is not None:
        included = root.only("include")
        return Wanted("allprop", tuple(child.name for child in included.children) if included is not None else ())
    raise DocumentError("DAV:propfind needs one of DAV:prop, DAV:propname and DAV:allprop")


def binding(body: bytes) -> tuple[str, str]:
    """Read the body of a BIND (RFC 5842 section 4): the segment, and the href to bind it to. Raises DocumentError."""
    root = _read(body, "bind")
    return _text(root, "segment"), _text(root, "href")


def unbinding(body: bytes) -> str:
    """Read the body of an UNBIND (RFC 5842 section 5): the segment. Raises DocumentError."""
    return _text(_read(body, "unbind"), "segment")


def multistatus(responses: Iterable[Response]) -> bytes:
    """Write a DAV:multistatus (RFC 4918 section 14.16). Raises TooLongError."""
    parts = ['<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">\n']
    length = 0
    for response in responses:
        stats = "".join(_stat(some) for some in response.properties)
        parts.append(f"<D:response><D:href>{escape(response.href)}</D:href>{stats}</D:response>\n")
        length += len(parts[-1])
        if length > LONGEST_ANSWER:
            raise TooLongError
    parts.append("</D:multistatus>\n")
    return "".join(parts).encode()


def failed(condition: str) -> bytes:
    """Write a DAV:error that names the precondition that did not hold (RFC 4918 section 16)."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n<D:error xmlns:D="DAV:"><D:{condition}/></D:error>\n'.encode()


def _stat(some: Properties) -> str:
    values = "".join(_written(name, value) for name, value in some.values)
    status = f"HTTP/1.1 {some.status} {reason(some.status)}"
    return f"<D:propstat><D:prop>{values}</D:prop><D:status>{status}</D:status></D:propstat>"


def _written(name: Name, value: str) -> str:
    namespace, local = name
    if namespace == "DAV:":
        tag, declared = f"D:{local}", ""
    else:
        tag, declared = (f"x:{local}", f" xmlns:x={quoteattr(namespace)}") if namespace else (local, "")
    return f"<{tag}{declared}>{value}</{tag}>" if value else f"<{tag}{declared}/>"


def _text(root: _Element, local: str) -> str:
    found = root.only(local)
    if found is None or found.children or not found.text.strip():
        raise DocumentError(f"DAV:{root.name[1]} needs one DAV:{local} with a text")
    return found.text.strip()


def _read(body: bytes, root: str) -> _Element:
    if len(body) > LARGEST:
        raise DocumentError(f"a document has at most {LARGEST} bytes here")
    found = _Reading().read(body)
    if found.name != ("DAV:", root):
        raise DocumentError(f"the document must be a DAV:{root}")
    return found


class _Reading:
    """Builds a tree out of what expat reports."""

    def __init__(self) -> None:
        self._open: list[_Element] = []
        self._root: _Element | None = None
        self._count = 0

    def read(self, body: bytes) -> _Element:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(body, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise DocumentError(f"the document is no XML: {error}") from error
        assert self._root is not None  # a document without a root is an ExpatError
        return self._root

    def _doctype(self, *declared: Any) -> None:
        del declared
        raise DocumentError("a document type declaration is refused here")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= DEEPEST:
            raise DocumentError(f"a document has at most {MOST_ELEMENTS} elements, {DEEPEST} deep, here")
        namespace, _, local = name.rpartition(" ")
        element = _Element((namespace, local))
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        del name
        self._open.pop()

    def _characters(self, data: str) -> None:
        self._open[-1].text += data
