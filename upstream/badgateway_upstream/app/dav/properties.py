"""The live properties of a resource (RFC 4918 section 15, RFC 5842 section 3, RFC 4331)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from xml.sax.saxutils import escape

from badgateway_upstream.app.dav.documents import Name, Properties, Response, Wanted
from badgateway_upstream.app.dav.paths import Segments, href_of
from badgateway_upstream.app.dav.tree import Resource, Tree
from badgateway_upstream.app.dav.walking import Met


@dataclass(frozen=True, slots=True)
class Context:
    """What properties are made of beside the resource itself."""

    tree: Tree
    quota: int
    used: int
    hrefs: dict[int, str]
    """A way to each collection of the answer, by id."""


def _length(resource: Resource, context: Context) -> str | None:
    del context
    return None if resource.collection else str(resource.length)


def _content_type(resource: Resource, context: Context) -> str | None:
    del context
    return None if resource.collection else escape(resource.content_type)


def _etag(resource: Resource, context: Context) -> str | None:
    del context
    return None if resource.collection else escape(resource.etag)


def _modified(resource: Resource, context: Context) -> str:
    del context
    return formatdate(resource.modified, usegmt=True)


def _type(resource: Resource, context: Context) -> str:
    del context
    return "<D:collection/>" if resource.collection else ""


def _id(resource: Resource, context: Context) -> str:
    del context
    return f"<D:href>urn:uuid:{resource.uuid}</D:href>"


def _parents(resource: Resource, context: Context) -> str:
    known = ((context.hrefs.get(parent), name) for parent, name in context.tree.parents(resource))
    return "".join(
        f"<D:parent><D:href>{escape(href)}</D:href><D:segment>{escape(name)}</D:segment></D:parent>"
        for href, name in known
        if href is not None
    )


def _available(resource: Resource, context: Context) -> str | None:
    return str(max(0, context.quota - context.used)) if resource.collection else None


def _used(resource: Resource, context: Context) -> str | None:
    return str(context.used) if resource.collection else None


_PLAIN: Final[dict[str, Callable[[Resource, Context], str | None]]] = {
    "resourcetype": _type,
    "getcontentlength": _length,
    "getcontenttype": _content_type,
    "getetag": _etag,
    "getlastmodified": _modified,
}
_ON_DEMAND: Final[dict[str, Callable[[Resource, Context], str | None]]] = {
    "resource-id": _id,
    "parent-set": _parents,
    "quota-available-bytes": _available,
    "quota-used-bytes": _used,
}
"""Not part of allprop (RFC 5842 section 3, RFC 4331 section 3)."""
_ALL: Final = {**_PLAIN, **_ON_DEMAND}


def response_for(met: Met, wanted: Wanted, context: Context) -> Response:
    """What a multi-status says about a resource: what it has with 200 or, if told already, 208; the rest with 404."""
    found: list[tuple[Name, str]] = []
    missing: list[tuple[Name, str]] = []
    for name in _names(wanted):
        make = _ALL.get(name[1]) if name[0] == "DAV:" else None
        value = None if make is None else make(met.resource, context)
        if value is not None:
            found.append((name, "" if wanted.kind == "propname" else value))
        elif wanted.kind == "prop":
            missing.append((name, ""))
    parts = [Properties(208 if met.already else 200, tuple(found))] if found or not missing else []
    if missing:
        parts.append(Properties(404, tuple(missing)))
    return Response(href_of(met.segments, collection=met.resource.collection), tuple(parts))


def hrefs_of(met: list[Met], above: tuple[Resource, Segments] | None) -> dict[int, str]:
    """A way to each collection that was met, and to the one that holds the first."""
    ways = [(one.resource, one.segments) for one in met if one.resource.collection]
    if above is not None:
        ways.append(above)
    return {resource.id: href_of(segments, collection=True) for resource, segments in reversed(ways)}


def _names(wanted: Wanted) -> tuple[Name, ...]:
    if wanted.kind == "prop":
        return wanted.names
    names = _ALL if wanted.kind == "propname" else _PLAIN
    return (*(("DAV:", local) for local in names), *wanted.names)
