"""The database."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
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
