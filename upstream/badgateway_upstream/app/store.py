"""The shop's SQLite database. Instances may share one file; without a file each has its own, which nothing outlives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

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


class Store:
    """Products and orders. Reads happen at once; writes on a thread, because they may wait for another instance.

    ``path`` None: a private database. Raises sqlite3.Error when the file is no database, or locked for 5 s.
    """

    def __init__(self, path: Path | None) -> None:
        private = path is None
        if path is None:
            number, name = tempfile.mkstemp(prefix="badgateway-shop-", suffix=".sqlite3")
            os.close(number)
            path = Path(name)
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="shop-writer")
        try:
            self._reader = _connect(path, private=private)
            self._writer = _connect(path, private=private)
            _fill(self._writer)
            self._reader.execute("SELECT count(*) FROM products").fetchone()
        finally:
            if private:
                # Both connections hold it open, and with the journal in memory SQLite needs no name: a SIGKILL
                # leaves nothing behind.
                path.unlink()

    def close(self) -> None:
        """Close the database."""
        self._writer_thread.shutdown()
        self._reader.close()
        self._writer.close()

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

    async def add_order(self, product_id: int, quantity: int) -> int:
        """Write an order; return its id."""
        return await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._insert, product_id, quantity)

    def _insert(self, product_id: int, quantity: int) -> int:
        with self._writer:
            cursor = self._writer.execute(
                "INSERT INTO orders (product_id, quantity) VALUES (?, ?)", (product_id, quantity)
            )
        number = cursor.lastrowid
        assert number is not None
        return number


def as_json(value: object) -> bytes:
    """Return ``value`` as compact JSON with a line end."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _product(row: tuple[int, str, int, int]) -> dict[str, Any]:
    return {"id": row[0], "name": row[1], "price_cents": row[2], "stock": row[3]}


def _connect(path: Path, *, private: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
    with contextlib.ExitStack() as on_error:
        on_error.callback(connection.close)
        # WAL lets instances read while another one writes.
        connection.execute(f"PRAGMA journal_mode = {'MEMORY' if private else 'WAL'}")
        connection.execute(f"PRAGMA synchronous = {'OFF' if private else 'NORMAL'}")
        on_error.pop_all()
    return connection


def _fill(connection: sqlite3.Connection) -> None:
    connection.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM products").fetchone()[0] == 0:
            connection.executemany("INSERT INTO products (name, price_cents, stock) VALUES (?, ?, ?)", _PRODUCTS)
