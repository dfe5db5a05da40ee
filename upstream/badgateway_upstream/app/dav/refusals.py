"""Why a request for a file is refused: which method, which path, which precondition (RFC 4918 section 16)."""

from __future__ import annotations

from typing import Final

from badgateway_upstream.app.dav.paths import PathError, Segments, name_of, source_of
from badgateway_upstream.app.dav.tree import Resource, Tree
from badgateway_upstream.wire.requests import Request

_OF_COLLECTIONS: Final = ("OPTIONS", "GET", "HEAD", "DELETE", "PROPFIND", "BIND", "UNBIND")
_OF_FILES: Final = ("OPTIONS", "GET", "HEAD", "PUT", "DELETE", "PROPFIND")
_OF_NOTHING: Final = ("OPTIONS", "PUT", "MKCOL")


class RefusedError(Exception):
    """The request is answered with an error; `condition`: the precondition that does not hold, as a DAV:error."""

    def __init__(self, status: int, what: str, *, condition: str = "", extra: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.condition = condition
        self.extra = extra


def methods_of(found: Resource | None) -> tuple[str, ...]:
    """The methods that what is there takes."""
    if found is None:
        return _OF_NOTHING
    return _OF_COLLECTIONS if found.collection else _OF_FILES


def parent_of(tree: Tree, segments: Segments) -> Resource:
    """The collection that a path's last name is in, or would be. Raises RefusedError."""
    parent = tree.at(segments[:-1])
    if parent is None or not parent.collection:
        raise RefusedError(409, "the collection that it would be in does not exist")
    return parent


def collection_at(tree: Tree, segments: Segments, condition: str) -> Resource:
    """The collection at a path. Raises RefusedError with ``condition``."""
    found = tree.at(segments)
    if found is None or not found.collection:
        raise RefusedError(409, "no collection", condition=condition)
    return found


def bound_name(segment: str) -> str:
    """A DAV:segment as the name that it is. Raises RefusedError."""
    try:
        return name_of(segment)
    except PathError as error:
        raise RefusedError(403, str(error), condition="name-allowed") from error


def bound_source(href: str, request: Request) -> Segments:
    """Where a DAV:href leads. Raises RefusedError."""
    try:
        source = source_of(href, request.header("host"))
    except PathError as error:
        raise RefusedError(403, str(error), condition="binding-allowed") from error
    if source is None:
        raise RefusedError(403, "a resource of another server", condition="cross-server-binding")
    return source


def not_allowed(request: Request, found: Resource | None) -> RefusedError:
    """The refusal of a method at what is there: 405, or 404 where nothing is that it could be about."""
    if found is None and request.method not in _OF_NOTHING:
        return RefusedError(404, f"there is nothing at {request.path[:200]}")
    what = f"{request.method} is not allowed at {request.path[:200]}"
    return RefusedError(405, what, extra=f"Allow: {', '.join(methods_of(found))}\r\n")
