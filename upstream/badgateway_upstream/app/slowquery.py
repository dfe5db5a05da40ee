"""A query that takes long because it reads much: a real one, whose cost is measured right before, and bounded."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Final

_SAMPLE: Final = 50_000
_CHECK_EVERY: Final = 100_000
"""SQLite's instructions between two looks at the clock: some milliseconds."""
_AT_MOST: Final = 4
"""A query takes this many times as long as it should at the most, whatever the machine is doing."""

# What a report does that joins two large tables without an index: each row of one against the other. The rows come
# from a recursive query (sqlite.org/lang_with.html), as nobody wants to store them.
_QUERY: Final = """
WITH RECURSIVE line(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM line WHERE n < ?)
SELECT count(*) FROM line WHERE n % 7 = 3
"""


class StatementTimeoutError(Exception):
    """The database ended a query for taking too long."""


def slow_query(
    connection: sqlite3.Connection, seconds: float, over: Callable[[], bool], statement_timeout: float | None
) -> None:
    """Have SQLite work for about ``seconds`` of processor time; on a busy machine that takes longer.

    Ends early once ``over()`` is true, looked at every few milliseconds. Raises StatementTimeoutError after
    ``statement_timeout`` seconds. SQLite lets other threads run meanwhile.
    """
    started = time.thread_time()
    connection.execute(_QUERY, (_SAMPLE,)).fetchone()
    per_row = (time.thread_time() - started) / _SAMPLE
    began = time.monotonic()
    latest = began + seconds * _AT_MOST
    timeout = None if statement_timeout is None else began + statement_timeout

    def interrupt() -> int:
        now = time.monotonic()
        return int(over() or now > latest or (timeout is not None and now > timeout))

    connection.set_progress_handler(interrupt, _CHECK_EVERY)
    try:
        connection.execute(_QUERY, (int(seconds / per_row),)).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        if timeout is not None and time.monotonic() > timeout and not over():
            raise StatementTimeoutError(f"canceling statement due to statement timeout: {error}") from error
    finally:
        connection.set_progress_handler(None, 0)
