"""What can be wrong with the shop's database. SQLite says each of these errors itself."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from badgateway_upstream.app.store import Store

How = Literal["missing_table", "corrupt", "read_only"]


class DatabaseTrouble:
    """Locks the database of a shop for everybody, or has this one shop work on a copy that is broken."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locked = False

    def lock(self) -> str:
        """Begin a transaction on another connection that keeps all others from writing; return what shows it.

        Instances that share the file cannot write either. Raises OSError when somebody else holds the lock.
        """
        try:
            if not self._locked:
                self._store.other.execute(f"BEGIN {self._store.strictest_lock}")
        except sqlite3.OperationalError as error:
            raise OSError(f"another transaction holds the lock already: {error}") from error
        self._locked = True
        return f"another connection has begun a transaction (BEGIN {self._store.strictest_lock}) and does not end it"

    def unlock(self) -> None:
        """End that transaction. May be called twice."""
        if self._locked:
            self._locked = False
            self._store.other.execute("ROLLBACK")

    def damage(self, how: How) -> str:
        """Have the shop work on a damaged copy; return SQLite's own words about it. Raises OSError."""
        number, name = tempfile.mkstemp(prefix="badgateway-broken-", suffix=".sqlite3")
        os.close(number)
        path = Path(name)
        try:
            self._store.copy_to(path)
            _DAMAGES[how](path)
            self._store.work_on(path, read_only=how == "read_only")
        except sqlite3.Error as error:
            raise OSError(f"the database cannot be copied: {error}") from error
        finally:
            path.unlink()  # whoever opened it keeps it, and a SIGKILL leaves nothing behind
        return f"the shop works on a copy ({how}), of which SQLite says: {self._store.complaint()}"

    def mend(self) -> None:
        """Have the shop work on its own database again. May be called twice."""
        self._store.work_on(None)


def _drop(path: Path) -> None:
    """As a migration does that went out before the code that can do without the table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE products RENAME TO products_old")


def _scribble(path: Path) -> None:
    """As a disk does that returns something else than was written."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'products'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xa5" * size)


def _leave(path: Path) -> None:
    """Nothing: how it is opened makes the difference, as with a standby that accepts no writes."""
    del path


_DAMAGES: Final[Mapping[How, Callable[[Path], None]]] = MappingProxyType(
    {"missing_table": _drop, "corrupt": _scribble, "read_only": _leave}
)
