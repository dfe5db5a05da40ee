"""What a fault inside one of the app's handlers can make the handler do: the app's real work, too much of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from badgateway_upstream.app.downstream import Downstream, DownstreamTimeoutError
from badgateway_upstream.app.slowquery import StatementTimeoutError, slow_query
from badgateway_upstream.app.store import Store
from badgateway_upstream.app.workers import Workers

T = TypeVar("T")


class GaveUpError(Exception):
    """The app gives up on a request by itself. `status` is what it then answers."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


class Equipment:
    """What an instance's handlers share. Timeouts in seconds; None: none."""

    def __init__(
        self,
        workers: Workers,
        store: Store | None,
        *,
        statement_timeout: float | None = None,
        downstream_timeout: float | None = None,
    ) -> None:
        self.workers = workers
        self.downstream = Downstream()
        self.statement_timeout = statement_timeout
        self.downstream_timeout = downstream_timeout
        self._store = store

    def connect(self) -> sqlite3.Connection:
        """A connection to the database; in a relay, which has none, to an empty one."""
        return sqlite3.connect(":memory:") if self._store is None else self._store.connect()

    async def close(self) -> None:
        """Wait for what the workers have begun."""
        await self.downstream.close()
        self.workers.close()


class OneHandling:
    """The handling of one request by a handler that a fault is in (`registry.Handling`)."""

    def __init__(self, equipment: Equipment, ended: asyncio.Event) -> None:
        self._equipment = equipment
        self._ended = ended

    async def in_worker(self, work: Callable[[], T]) -> T:
        """Have a worker thread do it."""
        return await self._equipment.workers.run(work)

    async def query(self, seconds: float) -> None:
        """Have a worker run a query that takes so long. Raises GaveUpError on a statement timeout."""
        equipment = self._equipment

        def run() -> None:
            with closing(equipment.connect()) as connection:
                slow_query(connection, seconds, self._ended.is_set, equipment.statement_timeout)

        try:
            await equipment.workers.run(run)
        except StatementTimeoutError as error:
            raise GaveUpError(503, "the database took too long") from error

    async def call_downstream(self) -> None:
        """Call the service that the app depends on, which hangs. Raises GaveUpError on a timeout."""
        try:
            await self._equipment.downstream.call(self._ended, self._equipment.downstream_timeout)
        except DownstreamTimeoutError as error:
            raise GaveUpError(504, "the carrier did not answer in time") from error
