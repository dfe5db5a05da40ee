"""How long a script may wait: no longer than its fault lasts, and a hang no longer than the client stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from badgateway_upstream.engine.activefault import OneTime


class FaultPatience:
    """The `player.Patience` of one fault on one connection. ``gone`` is set when the client has sent its FIN."""

    def __init__(self, one_time: OneTime, gone: asyncio.Event, body: Callable[[int | None], Awaitable[None]]) -> None:
        self._one_time = one_time
        self._gone = gone
        self._body = body

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds. A client that only closed its sending side still gets what follows."""
        await self._one_time.sleep(seconds)

    async def forever(self) -> None:
        """Wait until the fault ends or the client has sent its FIN."""
        await self._first_of(self._gone.wait())

    async def body(self, count: int | None) -> None:
        """Wait until so much of the request's body arrived (None: all), or no more will come."""
        await self._first_of(self._body(count))

    async def _first_of(self, awaitable: Awaitable[object]) -> None:
        waits = [
            asyncio.ensure_future(self._one_time.fault.ended.wait()),
            asyncio.ensure_future(awaitable),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
