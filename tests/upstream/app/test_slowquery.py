"""A query that takes long."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from badgateway_upstream.app.slowquery import StatementTimeoutError, slow_query


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        yield opened


def test_it_takes_about_so_long_on_a_processor(connection: sqlite3.Connection) -> None:
    def took(seconds: float) -> float:
        began = time.thread_time()
        slow_query(connection, seconds, lambda: False, None)
        return time.thread_time() - began

    # what a row costs is measured right before, in some milliseconds, in which a busy machine may do anything
    assert any(took(0.4) > max(0.2, 2 * took(0.05)) for _ in range(10))


def test_it_ends_early_when_nobody_wants_it_any_more(connection: sqlite3.Connection) -> None:
    began = time.thread_time()
    slow_query(connection, 30, lambda: True, None)
    assert time.thread_time() - began < 5
    assert connection.execute("SELECT 1").fetchone() == (1,), "the connection can be used again"


def test_a_statement_timeout_is_an_error(connection: sqlite3.Connection) -> None:
    with pytest.raises(StatementTimeoutError, match="canceling statement due to statement timeout: interrupted"):
        slow_query(connection, 30, lambda: False, 0.02)
