"""What can be wrong with the database: SQLite says it, in its own words."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from badgateway_upstream.app.databasetrouble import DatabaseTrouble, How
from badgateway_upstream.app.store import Store

WORDS = {
    "missing_table": "no such table: products",
    "corrupt": "database disk image is malformed",
    "read_only": "attempt to write a readonly database",
}


@pytest.fixture(params=[True, False], ids=["shared", "private"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = Store(tmp_path / "shop.sqlite3" if request.param else None, lock_timeout=0.2)
    yield store
    store.close()
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"shop.sqlite3"}, "nothing of a copy is left"


@pytest.mark.parametrize("how", WORDS)
async def test_sqlite_itself_refuses(store: Store, how: How) -> None:
    await store.add_order(1, 2)
    trouble = DatabaseTrouble(store)
    assert trouble.damage(how) == f"the shop works on a copy ({how}), of which SQLite says: {WORDS[how]}"
    if how != "missing_table":  # an order itself does without that table
        with pytest.raises(sqlite3.Error, match=WORDS[how]):
            await store.write(lambda writer: writer.execute("UPDATE products SET stock = 0"))
    if how != "read_only":
        with pytest.raises(sqlite3.Error, match=WORDS[how]), closing(store.connect()) as connection:
            connection.execute("SELECT * FROM products").fetchall()
    order = store.order(1)
    assert order is not None, "what is not broken works"
    trouble.mend()
    trouble.mend()
    assert len(store.products()) == 8
    assert await store.add_order(1, 2) == 2


def test_one_damage_replaces_another(store: Store) -> None:
    trouble = DatabaseTrouble(store)
    trouble.damage("missing_table")
    assert store.complaint() == WORDS["missing_table"]
    trouble.mend()
    trouble.damage("corrupt")
    assert store.complaint() == WORDS["corrupt"]
    trouble.damage("missing_table")
    trouble.mend()
    trouble.mend()
    assert store.complaint() == ""


async def test_a_lock_keeps_writers_waiting_and_readers_not(store: Store) -> None:
    trouble = DatabaseTrouble(store)
    assert "does not end it" in trouble.lock()
    trouble.lock()
    assert len(store.products()) == 8
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        await store.add_order(1, 2)
    waiting = asyncio.create_task(store.add_order(1, 2))
    await asyncio.sleep(0)
    trouble.unlock()
    trouble.unlock()
    assert await waiting == 1


async def test_a_lock_is_for_all_that_share_the_file(tmp_path: Path) -> None:
    mine, theirs = (Store(tmp_path / "shop.sqlite3", lock_timeout=0.05) for _ in range(2))
    DatabaseTrouble(mine).lock()
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        await theirs.add_order(1, 2)
    with pytest.raises(OSError, match="another transaction holds the lock already"):
        DatabaseTrouble(theirs).lock()
    for store in (mine, theirs):
        store.close()
