"""The store's resources and the bindings between them: a graph in the shop's database, that instances share.

A binding maps a name in a collection to a resource (RFC 5842 section 1.1). A resource may have several, also in a way
that makes a loop; it exists as long as it can be reached from the root. Everything here runs inside a transaction of
the caller.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from badgateway_upstream.app.dav.paths import Segments

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS dav_resources (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL DEFAULT (lower(
        hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' ||
        substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))
    )),
    content_type TEXT NOT NULL DEFAULT '', content BLOB, modified REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS dav_bindings (
    collection INTEGER NOT NULL, segment TEXT NOT NULL, resource INTEGER NOT NULL, PRIMARY KEY (collection, segment)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS dav_listed AS
    SELECT id, uuid, content IS NULL AS collection, content_type, coalesce(length(content), 0) AS length, modified
    FROM dav_resources;
CREATE VIEW IF NOT EXISTS dav_reachable AS
    WITH RECURSIVE reached (id) AS (
        SELECT 1 UNION SELECT resource FROM dav_bindings JOIN reached ON collection = reached.id
    ) SELECT id FROM reached;
INSERT OR IGNORE INTO dav_resources (id) VALUES (1);
"""
"""What the tables are. A collection is a resource without content; 1 is the root.

UNION, not UNION ALL: what was reached already is not followed again, so that a loop ends.
"""

ROOT_ID: Final = 1
MOST_RESOURCES: Final = 1000
MOST_BINDINGS: Final = 2000

_LEADS_TO: Final = """
WITH RECURSIVE reached (id) AS (
    SELECT ? UNION SELECT resource FROM dav_bindings JOIN reached ON collection = reached.id
) SELECT 1 FROM reached WHERE id = ?
"""


def clear(connection: sqlite3.Connection) -> None:
    """Have nothing but a root, which is another resource than the one before."""
    connection.execute("DELETE FROM dav_bindings")
    connection.execute("DELETE FROM dav_resources")
    connection.execute("INSERT INTO dav_resources (id) VALUES (?)", (ROOT_ID,))


class NoRoomError(Exception):
    """It does not fit. ``condition`` is the precondition of RFC 4331 section 6 that does not hold."""

    def __init__(self, condition: str, message: str) -> None:
        super().__init__(message)
        self.condition = condition


@dataclass(frozen=True, slots=True)
class Resource:
    """A file or a collection. `modified`: seconds since 1970."""

    id: int
    uuid: str
    collection: bool
    content_type: str
    length: int
    modified: float

    @property
    def etag(self) -> str:
        """Another one after each change."""
        return f'"{self.id:x}-{int(self.modified * 1e6):x}"'


class Tree:
    """The graph as one transaction sees it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def at(self, segments: Segments) -> Resource | None:
        """What these names lead to from the root."""
        found: int | None = ROOT_ID
        for segment in segments:
            row = self._db.execute(
                "SELECT resource FROM dav_bindings WHERE collection = ? AND segment = ?", (found, segment)
            ).fetchone()
            if row is None:
                return None
            found = row[0]
        row = self._db.execute("SELECT * FROM dav_listed WHERE id = ?", (found,)).fetchone()
        return None if row is None else _resource(row)

    def members(self, collection: Resource) -> list[tuple[str, Resource]]:
        """A collection's bindings, by name."""
        rows = self._db.execute(
            "SELECT segment, dav_listed.* FROM dav_bindings JOIN dav_listed ON id = resource"
            " WHERE dav_bindings.collection = ? ORDER BY segment",
            (collection.id,),
        )
        return [(row[0], _resource(row[1:])) for row in rows]

    def parents(self, resource: Resource) -> list[tuple[int, str]]:
        """Every binding to a resource: the collection's id, and the name."""
        rows = self._db.execute("SELECT collection, segment FROM dav_bindings WHERE resource = ?", (resource.id,))
        return list(rows)

    def content(self, resource: Resource) -> bytes:
        """A file's bytes."""
        row = self._db.execute("SELECT content FROM dav_resources WHERE id = ?", (resource.id,)).fetchone()
        return bytes(row[0])

    def used(self) -> int:
        """Bytes of all files together."""
        return int(self._db.execute("SELECT coalesce(sum(length(content)), 0) FROM dav_resources").fetchone()[0])

    def leads_to(self, start: Resource, goal: Resource) -> bool:
        """Whether ``goal`` is ``start`` or can be reached from it."""
        found = self._db.execute(_LEADS_TO, (start.id, goal.id))
        return found.fetchone() is not None

    # Changes

    def write(self, parent: Resource, name: str, content: bytes, content_type: str, quota: int, now: float) -> bool:
        """Put a file's content where ``name`` is; return whether it is new. Raises NoRoomError."""
        row = self._db.execute(
            "SELECT id, length(content) FROM dav_resources JOIN dav_bindings ON id = resource"
            " WHERE collection = ? AND segment = ?",
            (parent.id, name),
        ).fetchone()
        after = self.used() + len(content) - (row[1] if row is not None else 0)
        if after > quota:
            raise NoRoomError(
                "quota-not-exceeded", f"with these {len(content)} bytes, {after} of {quota} would be used"
            )
        if row is not None:
            self._db.execute(
                "UPDATE dav_resources SET content = ?, content_type = ?, modified = ? WHERE id = ?",
                (content, content_type, now, row[0]),
            )
            return False
        self._add(parent, name, content, content_type, now)
        return True

    def add_collection(self, parent: Resource, name: str, now: float) -> None:
        """Make an empty collection. Raises NoRoomError."""
        self._add(parent, name, None, "", now)

    def bind(self, parent: Resource, name: str, resource: Resource) -> bool:
        """Bind ``name`` to a resource, in place of what it was bound to; return whether it was to nothing.

        Raises NoRoomError.
        """
        replaced = self._db.execute(
            "DELETE FROM dav_bindings WHERE collection = ? AND segment = ?", (parent.id, name)
        ).rowcount
        self._bind(parent, name, resource.id)
        if replaced:
            self._forget_unreachable()
        return not replaced

    def unbind(self, parent: Resource, name: str) -> None:
        """Remove a binding, and whatever cannot be reached any more."""
        self._db.execute("DELETE FROM dav_bindings WHERE collection = ? AND segment = ?", (parent.id, name))
        self._forget_unreachable()

    def _add(self, parent: Resource, name: str, content: bytes | None, content_type: str, now: float) -> None:
        if self._db.execute("SELECT count(*) FROM dav_resources").fetchone()[0] >= MOST_RESOURCES:
            raise NoRoomError("sufficient-disk-space", f"there are {MOST_RESOURCES} resources already")
        added = self._db.execute(
            "INSERT INTO dav_resources (content_type, content, modified) VALUES (?, ?, ?)", (content_type, content, now)
        ).lastrowid
        assert added is not None
        self._bind(parent, name, added)

    def _bind(self, parent: Resource, name: str, resource_id: int) -> None:
        if self._db.execute("SELECT count(*) FROM dav_bindings").fetchone()[0] >= MOST_BINDINGS:
            raise NoRoomError("sufficient-disk-space", f"there are {MOST_BINDINGS} bindings already")
        self._db.execute("INSERT INTO dav_bindings VALUES (?, ?, ?)", (parent.id, name, resource_id))

    def _forget_unreachable(self) -> None:
        # Counting bindings would keep a loop that nothing else leads to.
        self._db.execute("DELETE FROM dav_bindings WHERE collection NOT IN dav_reachable")
        self._db.execute("DELETE FROM dav_resources WHERE id NOT IN dav_reachable")


def _resource(row: tuple[int, str, int, str, int, float]) -> Resource:
    return Resource(row[0], row[1], bool(row[2]), row[3], row[4], row[5])
