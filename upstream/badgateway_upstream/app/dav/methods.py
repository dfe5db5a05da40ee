"""The files of the shop, over HTTP: a subset of WebDAV (RFC 4918) with bindings (RFC 5842) and a quota (RFC 4331).

There are no locks, no dead properties, no COPY and no MOVE, so that it does not call itself class 1.
"""

from __future__ import annotations

import errno
import html
import sqlite3
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Final, Protocol

from badgateway_upstream.app.answers import Answer, without
from badgateway_upstream.app.dav import documents
from badgateway_upstream.app.dav.negotiable import Told, negotiable, negotiated
from badgateway_upstream.app.dav.paths import PathError, Segments, href_of, segments_of
from badgateway_upstream.app.dav.properties import Context, hrefs_of, response_for
from badgateway_upstream.app.dav.refusals import (
    RefusedError,
    bound_name,
    bound_source,
    collection_at,
    methods_of,
    not_allowed,
    parent_of,
)
from badgateway_upstream.app.dav.settings import DavSettings
from badgateway_upstream.app.dav.tree import NoRoomError, Resource, Tree
from badgateway_upstream.app.dav.uploads import LARGEST_FILE, TooLargeError, receive
from badgateway_upstream.app.dav.walking import LoopError, TooMuchError, walk
from badgateway_upstream.app.storage import Storage
from badgateway_upstream.app.store import Store
from badgateway_upstream.wire.requests import Request

METHODS: Final = ("OPTIONS", "GET", "HEAD", "PUT", "DELETE", "MKCOL", "PROPFIND", "BIND", "UNBIND")
"""All that some resource here takes."""
_LONGEST_TYPE: Final = 200
_XML: Final = "application/xml; charset=utf-8"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_DEPTHS: Final = {"0": 0, "1": 1, "infinity": None}


class Make(Protocol):
    """Makes an answer."""

    def __call__(self, request: Request, status: int, body: bytes, content_type: str, extra: str = "") -> Answer:
        """The answer with these."""


class Dav:
    """Answers requests below `paths.ROOT`. ``make`` makes answers, ``problem`` those that are errors."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        settings: DavSettings,
        make: Make,
        problem: Callable[[Request, int, str, str], Answer],
    ) -> None:
        self._store = store
        self._storage = storage
        self._settings = settings
        self._make = make
        self._problem = problem
        self._handlers: dict[str, Callable[[Request, Segments], Awaitable[Answer]]] = {
            "OPTIONS": self._options,
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "DELETE": self._delete,
            "MKCOL": self._make_collection,
            "PROPFIND": self._propfind,
            "BIND": self._bind,
            "UNBIND": self._unbind,
        }

    async def answer(self, request: Request) -> Answer:
        """Answer a request for a path below the root."""
        try:
            handler = self._handlers.get(request.method)
            segments = segments_of(request.path)
            if handler is None:
                raise not_allowed(request, self._at(segments))
            return await handler(request, segments)
        except RefusedError as refused:
            if refused.condition:
                return self._make(request, refused.status, documents.failed(refused.condition), _XML, refused.extra)
            return self._problem(request, refused.status, str(refused), refused.extra)
        except (PathError, documents.DocumentError) as wrong:
            return self._problem(request, 400, str(wrong), "")

    # Methods

    async def _options(self, request: Request, segments: Segments) -> Answer:
        allowed = ", ".join(methods_of(self._at(segments)))
        return self._make(request, 200, b"", "text/plain", f"Allow: {allowed}\r\nDAV: bind\r\n")

    async def _get(self, request: Request, segments: Segments) -> Answer:
        def look(db: sqlite3.Connection) -> Told:
            tree = Tree(db)
            found = tree.at(segments)
            if found is None:
                raise RefusedError(404, f"there is nothing at {request.path[:200]}")
            if found.collection:
                return Told(200, "", _listing(tree.members(found), segments), "text/html; charset=utf-8")
            if negotiable(found):
                return negotiated(request, tree, segments, found)
            about = f"ETag: {found.etag}\r\nLast-Modified: {formatdate(found.modified, usegmt=True)}\r\n"
            return Told(200, about, tree.content(found), found.content_type)

        told = self._store.read(look)
        if told.problem:
            raise RefusedError(told.status, told.problem, extra=told.headers)
        return self._make(request, told.status, told.content, told.content_type, told.headers)

    async def _put(self, request: Request, segments: Segments) -> Answer:
        self._place_for_file(request, segments)
        room = self._settings.quota - self._store.read(lambda db: self._used_by_others(Tree(db), segments))
        content_type = request.header("content-type") or "application/octet-stream"
        if len(content_type) > _LONGEST_TYPE:
            raise RefusedError(400, f"Content-Type has at most {_LONGEST_TYPE} characters")
        try:
            content = await receive(request, self._storage, room)
            created = await self._store.write(
                lambda db: self._write(Tree(db), request, segments, content, content_type)
            )
        except TooLargeError as error:
            raise RefusedError(413, f"a file has at most {LARGEST_FILE} bytes here") from error
        except NoRoomError as error:
            raise RefusedError(507, str(error), condition=error.condition) from error
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise RefusedError(507, str(error), condition="sufficient-disk-space") from error
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise RefusedError(507, str(error), condition="sufficient-disk-space") from error
        return self._done(request, 201) if created else self._done(request, 204)

    async def _delete(self, request: Request, segments: Segments) -> Answer:
        def remove(db: sqlite3.Connection) -> None:
            tree = Tree(db)
            if not segments:
                raise RefusedError(403, "the root cannot be deleted")
            parent = tree.at(segments[:-1])
            if parent is None or tree.at(segments) is None:
                raise RefusedError(404, f"there is nothing at {request.path[:200]}")
            tree.unbind(parent, segments[-1])

        await self._store.write(remove)
        return self._done(request, 204)

    async def _make_collection(self, request: Request, segments: Segments) -> Answer:
        await request.body.until(None)
        if request.body.received:
            raise RefusedError(415, "MKCOL takes no body here")

        def make(db: sqlite3.Connection) -> None:
            tree = Tree(db)
            found = tree.at(segments)
            if found is not None:
                raise not_allowed(request, found)
            tree.add_collection(parent_of(tree, segments), segments[-1], time.time())

        try:
            await self._store.write(make)
        except NoRoomError as error:
            raise RefusedError(507, str(error), condition=error.condition) from error
        return self._done(request, 201)

    async def _propfind(self, request: Request, segments: Segments) -> Answer:
        depth = (request.header("depth") or "infinity").strip().lower()
        if depth not in _DEPTHS:
            raise RefusedError(400, "Depth is 0, 1 or infinity")
        wanted = documents.propfind(await request.body.whole())
        knows_208 = "bind" in {token.strip().lower() for token in (request.header("dav") or "").split(",")}

        def look(db: sqlite3.Connection) -> list[documents.Response]:
            tree = Tree(db)
            start = tree.at(segments)
            if start is None:
                raise RefusedError(404, f"there is nothing at {request.path[:200]}")
            met = walk(start, segments, tree.members, _DEPTHS[depth], knows_208=knows_208)
            parent = tree.at(segments[:-1]) if segments else None
            above = None if parent is None else (parent, segments[:-1])
            context = Context(tree, self._settings.quota, tree.used(), hrefs_of(met, above))
            return [response_for(one, wanted, context) for one in met]

        try:
            answer = documents.multistatus(self._store.read(look))
        except LoopError as loop:
            leads, back = href_of(loop.segments, collection=True), href_of(loop.to, collection=True)
            what = (
                f"{leads} is {back} again, so that Depth: infinity has no end; a client that sends DAV: bind gets 208"
            )
            raise RefusedError(508, what) from loop
        except (TooMuchError, documents.TooLongError) as error:
            raise RefusedError(403, "too much for one answer", condition="propfind-finite-depth") from error
        return self._make(request, 207, answer, _XML)

    async def _bind(self, request: Request, segments: Segments) -> Answer:
        written, href = documents.binding(await request.body.whole())
        name = bound_name(written)
        source = bound_source(href, request)
        overwrite = (request.header("overwrite") or "T").strip().upper() != "F"

        def bind(db: sqlite3.Connection) -> bool:
            tree = Tree(db)
            collection = collection_at(tree, segments, "bind-into-collection")
            resource = tree.at(source)
            if resource is None:
                raise RefusedError(409, "there is nothing to bind to", condition="bind-source-exists")
            if tree.at((*segments, name)) is not None and not overwrite:
                raise RefusedError(412, "the name is bound already", condition="can-overwrite")
            if not self._settings.allow_cycles and tree.leads_to(resource, collection):
                raise RefusedError(403, "the collection would be below itself", condition="cycle-allowed")
            return tree.bind(collection, name, resource)

        try:
            created = await self._store.write(bind)
        except NoRoomError as error:
            raise RefusedError(507, str(error), condition=error.condition) from error
        location = f"Location: {href_of((*segments, name), collection=False)}\r\n" if created else ""
        return self._done(request, 201 if created else 200, location)

    async def _unbind(self, request: Request, segments: Segments) -> Answer:
        name = bound_name(documents.unbinding(await request.body.whole()))

        def unbind(db: sqlite3.Connection) -> None:
            tree = Tree(db)
            collection = collection_at(tree, segments, "unbind-from-collection")
            if tree.at((*segments, name)) is None:
                raise RefusedError(409, "no such binding", condition="unbind-source-exists")
            tree.unbind(collection, name)

        await self._store.write(unbind)
        return self._done(request, 200)

    # What they have in common

    def _at(self, segments: Segments) -> Resource | None:
        return self._store.read(lambda db: Tree(db).at(segments))

    def _place_for_file(self, request: Request, segments: Segments) -> None:
        found = self._at(segments)
        if found is not None and found.collection:
            raise not_allowed(request, found)
        if request.path.endswith("/"):
            raise RefusedError(409, "the name of a file does not end with a slash")
        self._store.read(lambda db: parent_of(Tree(db), segments))

    def _used_by_others(self, tree: Tree, segments: Segments) -> int:
        found = tree.at(segments)
        return tree.used() - (0 if found is None else found.length)

    def _write(self, tree: Tree, request: Request, segments: Segments, content: bytes, content_type: str) -> bool:
        found = tree.at(segments)
        if found is not None and found.collection:
            raise not_allowed(request, found)
        parent = parent_of(tree, segments)
        return tree.write(parent, segments[-1], content, content_type, self._settings.quota, time.time())

    def _done(self, request: Request, status: int, extra: str = "") -> Answer:
        made = self._make(request, status, b"", "text/plain", extra)
        return without(made, b"content-length", b"content-type") if status == 204 else without(made, b"content-type")


def _listing(members: list[tuple[str, Resource]], segments: Segments) -> bytes:
    rows = "".join(
        f'<li><a href="{html.escape(href_of((*segments, name), collection=member.collection))}">'
        f"{html.escape(name)}</a>{'/' if member.collection else f' {member.length} bytes'}</li>\n"
        for name, member in members
    )
    title = html.escape(href_of(segments, collection=True))
    page = f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n<ul>\n{rows}</ul></html>\n'
    return page.encode()
