"""The shop's SQLite database. Instances may share one file; without a file each has its own, which nothing outlives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from badgateway_upstream.app.dav.tree import SCHEMA as DAV_SCHEMA
from badgateway_upstream.app.dav.tree import clear

_PRODUCTS: Final = [
    ("Tin of tea", 790, 120),
    ("Teapot", 3490, 12),
    ("Strainer", 450, 80),
    ("Cup and saucer", 1290, 48),
    ("Sugar tongs", 990, 20),
    ("Kettle", 5900, 7),
    ("Tea towel", 850, 64),
    ("Honey", 690, 31),
]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS products (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES products (id), quantity INTEGER NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
"""


_T = TypeVar("_T")
_LOCK_TIMEOUT: Final = 5.0
_PATIENCE_OF_OTHERS: Final = 1.0
_SWITCH_RETRY: Final = 0.01


class Store:
    """Products and orders. Reads happen at once; writes on a thread, because they may wait for another instance.

    ``path`` None: a private database. ``lock_timeout``: seconds that a write waits for another's transaction. Raises
    sqlite3.Error when the file is no database, or locked for longer.
    """

    def __init__(self, path: Path | None, lock_timeout: float = _LOCK_TIMEOUT) -> None:
        private = path is None
        self._path = path
        self._lock_timeout = lock_timeout
        self._own: tuple[sqlite3.Connection, sqlite3.Connection] | None = None
        if path is None:
            number, name = tempfile.mkstemp(prefix="badgateway-shop-", suffix=".sqlite3")
            os.close(number)
            path = Path(name)
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="shop-writer")
        try:
            self._reader = _connect(path, lock_timeout, private=private)
            self._writer = _connect(path, lock_timeout, private=private)
            self._other = _connect(path, lock_timeout, private=True) if private else None
            _fill(self._writer)
            self._reader.execute("SELECT count(*) FROM products").fetchone()
        finally:
            if private:
                # The connections hold it open, and with the journal in memory SQLite needs no name: a SIGKILL
                # leaves nothing behind.
                path.unlink()

    def close(self) -> None:
        """Close the database."""
        self.work_on(None)
        self._writer_thread.shutdown()
        self._reader.close()
        self._writer.close()
        if self._other is not None:
            self._other.close()

    def products(self) -> list[dict[str, Any]]:
        """All products, by id."""
        rows = self._reader.execute("SELECT id, name, price_cents, stock FROM products ORDER BY id")
        return [_product(row) for row in rows]

    def product(self, product_id: int) -> dict[str, Any] | None:
        """One product."""
        rows = self._reader.execute("SELECT id, name, price_cents, stock FROM products WHERE id = ?", (product_id,))
        row = rows.fetchone()
        return None if row is None else _product(row)

    def order(self, order_id: int) -> dict[str, Any] | None:
        """One order."""
        row = self._reader.execute(
            "SELECT id, product_id, quantity, created_at FROM orders WHERE id = ?", (order_id,)
        ).fetchone()
        if row is None:
            return None
        return dict(zip(("id", "product_id", "quantity", "created_at"), row, strict=True))

    def connect(self) -> sqlite3.Connection:
        """Open one more connection, for whoever reads much; close it afterwards. Of a private database it is a copy."""
        if self._path is not None and self._own is None:
            return _connect(self._path, self._lock_timeout, private=False)
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            self._reader.backup(copy)
        except sqlite3.Error:  # the one that is to be copied may be damaged
            copy.close()
            raise
        return copy

    @property
    def other(self) -> sqlite3.Connection:
        """A connection of somebody else's to the same database."""
        if self._other is None:
            assert self._path is not None
            self._other = sqlite3.connect(self._path, timeout=_PATIENCE_OF_OTHERS, check_same_thread=False)
        return self._other

    @property
    def strictest_lock(self) -> str:
        """The strictest lock that readers do not notice; see sqlite.org/lang_transaction.html for the one with WAL."""
        return "IMMEDIATE" if self._path is None else "EXCLUSIVE"

    def copy_to(self, path: Path) -> None:
        """Write a copy of the database, without write-ahead log."""
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._reader.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")

    def work_on(self, path: Path | None, *, read_only: bool = False) -> None:
        """Use another database from now on, or None: the own one again. Of the other one only ``path`` is kept open."""
        if path is None:
            if self._own is not None:
                used, (self._reader, self._writer), self._own = (self._reader, self._writer), self._own, None
                for connection in used:
                    self._writer_thread.submit(connection.close)  # after what it may still be doing there
            return
        self.work_on(None)
        if read_only:
            both = [sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False) for _ in range(2)]
        else:
            both = [_connect(path, self._lock_timeout, private=True) for _ in range(2)]
        for connection in both:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opened for good, under whatever name
        self._own = (self._reader, self._writer)
        self._reader, self._writer = both

    def complaint(self) -> str:
        """What the database says of a read and a write of it; empty when it is fine."""
        try:
            self._reader.execute("SELECT * FROM products").fetchall()
            self._writer.execute("DELETE FROM orders WHERE id < 0")
        except sqlite3.Error as error:
            return str(error)
        finally:
            self._writer.rollback()
        return ""

    async def restore(self) -> None:
        """Have it as it was made: no orders, no files, the first products. Comes after the writes under way."""
        await self.write(_restore)

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what ``work`` reads, all of it from the same state of the database."""
        with self._reader:
            self._reader.execute("BEGIN")
            return work(self._reader)

    async def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do ``work`` as one transaction, after those that are under way; what it raises undoes all of it."""
        return await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._transact, work)

    def _transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            return work(self._writer)

    async def add_order(
        self, product_id: int, quantity: int, before_commit: Callable[[int], object] | None = None
    ) -> int:
        """Write an order; return its id. What ``before_commit`` raises, given that id, undoes it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer_thread, self._insert, product_id, quantity, before_commit)

    def _insert(self, product_id: int, quantity: int, before_commit: Callable[[int], object] | None) -> int:
        with self._writer:
            cursor = self._writer.execute(
                "INSERT INTO orders (product_id, quantity) VALUES (?, ?)", (product_id, quantity)
            )
            number = cursor.lastrowid
            assert number is not None
            if before_commit is not None:
                before_commit(number)
        return number


def as_json(value: object) -> bytes:
    """Return ``value`` as compact JSON with a line end."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _product(row: tuple[int, str, int, int]) -> dict[str, Any]:
    return {"id": row[0], "name": row[1], "price_cents": row[2], "stock": row[3]}


def _connect(path: Path, lock_timeout: float, *, private: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=lock_timeout, check_same_thread=False)
    with contextlib.ExitStack() as on_error:
        on_error.callback(connection.close)
        if private:
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
        else:
            _switch_to_wal(connection, lock_timeout)
            connection.execute("PRAGMA synchronous = NORMAL")
        on_error.pop_all()
    return connection


def _switch_to_wal(connection: sqlite3.Connection, lock_timeout: float) -> None:
    """Have it so that instances read while another one writes.

    When several open a fresh file at once, each needs an exclusive lock for the switch while all of them hold a shared
    one. SQLite sees the deadlock and fails at once, whatever its timeout (sqlite.org/c3ref/busy_handler.html), so the
    waiting is done here.
    """
    deadline = time.monotonic() + lock_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_SWITCH_RETRY)
        else:
            return


def _fill(connection: sqlite3.Connection) -> None:
    connection.executescript("BEGIN IMMEDIATE;" + _SCHEMA + DAV_SCHEMA + "COMMIT;")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM products").fetchone()[0] == 0:
            _stock(connection)


def _stock(connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO products (name, price_cents, stock) VALUES (?, ?, ?)", _PRODUCTS)


def _restore(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM orders")  # no AUTOINCREMENT: the next one is number 1 again
    connection.execute("DELETE FROM products")
    _stock(connection)
    clear(connection)
