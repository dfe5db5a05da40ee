"""The database."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from badgateway_upstream.app.store import Store


def test_a_private_database_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = Store(None)
    assert not list(tmp_path.iterdir())
    assert len(store.products()) == 8
    store.close()


async def test_a_private_database_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = Store(None)
    assert [await store.add_order(1, 2) for _ in range(3)] == [1, 2, 3]
    order = store.order(3)
    assert order is not None
    assert order["quantity"] == 2
    store.close()


def test_many_may_create_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite3"
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: Store(path), range(8)))
    assert [len(store.products()) for store in stores] == [8] * 8
    for store in stores:
        store.close()


def test_many_processes_may_open_a_fresh_file_at_once(tmp_path: Path) -> None:
    """Each switches it to WAL, for which SQLite's own timeout does not wait: it would see a deadlock."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        list(pool.map(time.sleep, [0.05] * 3))  # all of them run before the first file is opened
        for number in range(30):
            path, soon = tmp_path / f"{number}.sqlite3", time.monotonic() + 0.01
            assert list(pool.map(_open, [path] * 3, [soon] * 3)) == [8] * 3


def _open(path: Path, when: float) -> int:
    while time.monotonic() < when:
        pass
    store = Store(path)
    try:
        return len(store.products())
    finally:
        store.close()


async def test_what_fails_before_the_commit_undoes_the_order() -> None:
    store = Store(None)

    def fail(number: int) -> None:
        raise OSError(f"no receipt for order {number}")

    with pytest.raises(OSError, match="no receipt for order 1"):
        await store.add_order(1, 2, fail)
    assert store.order(1) is None
    assert await store.add_order(1, 2) == 1
    store.close()


@pytest.mark.parametrize("shared", [True, False])
async def test_another_connection_sees_the_same(shared: bool, tmp_path: Path) -> None:
    store = Store(tmp_path / "shop.sqlite3" if shared else None)
    await store.add_order(3, 4)
    connection = store.connect()
    assert connection.execute("SELECT product_id, quantity FROM orders").fetchall() == [(3, 4)]
    connection.close()
    store.close()


@pytest.mark.parametrize("private", [True, False])
async def test_what_a_write_raises_undoes_all_of_it(tmp_path: Path, private: bool) -> None:
    store = Store(None if private else tmp_path / "shop.sqlite3")

    def half(db: sqlite3.Connection) -> None:
        db.execute("UPDATE products SET stock = 0")
        raise KeyError("changed my mind")

    with pytest.raises(KeyError):
        await store.write(half)
    assert store.read(lambda db: db.execute("SELECT min(stock) FROM products").fetchone()) == (7,)
    await store.write(lambda db: db.execute("UPDATE products SET stock = 1"))
    assert store.read(lambda db: db.execute("SELECT max(stock) FROM products").fetchone()) == (1,)
    store.close()


def test_a_read_sees_one_state_while_another_instance_writes(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "shop.sqlite3"), Store(tmp_path / "shop.sqlite3")

    def look(db: sqlite3.Connection) -> list[int]:
        before = db.execute("SELECT stock FROM products WHERE id = 1").fetchone()[0]
        with two._writer:
            two._writer.execute("UPDATE products SET stock = 3")
        return [before, db.execute("SELECT stock FROM products WHERE id = 1").fetchone()[0]]

    assert one.read(look) == [120, 120]
    assert one.read(look) == [3, 3]
    one.close()
    two.close()


@pytest.mark.parametrize("shared", [True, False])
async def test_it_can_be_had_as_it_was_made(shared: bool, tmp_path: Path) -> None:
    store = Store(tmp_path / "shop.sqlite3" if shared else None)
    before = store.products()
    await store.add_order(3, 4)
    await store.write(lambda db: db.execute("UPDATE products SET stock = 0"))
    await store.write(lambda db: db.execute("DELETE FROM products WHERE id > 1"))
    under_way = [asyncio.ensure_future(store.add_order(1, 1)) for _ in range(5)]
    await asyncio.gather(store.restore(), *under_way)
    assert store.products() == before
    await store.restore()
    assert store.order(1) is None
    assert await store.add_order(1, 2) == 1
    store.close()
