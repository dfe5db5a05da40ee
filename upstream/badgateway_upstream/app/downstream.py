"""The service that the shop depends on for some answers: a listener of its own, which can only do one thing, hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_REQUEST: Final = b"GET /quote HTTP/1.1\r\nHost: carrier.internal\r\nConnection: close\r\n\r\n"


class DownstreamTimeoutError(Exception):
    """The service did not answer in time."""


class Downstream:
    """Calls a carrier's API over TCP on loopback. It accepts, reads the request, and never answers."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self.calls = 0

    async def call(self, ended: asyncio.Event, timeout: float | None) -> None:
        """Ask, and wait: until ``ended``, or for ``timeout`` seconds; None, the classic mistake, is for ever.

        Raises DownstreamTimeoutError; OSError when it cannot be reached.
        """
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Silent(self._called), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(_REQUEST)
                await _until_either(reader, ended)
        except TimeoutError as error:
            raise DownstreamTimeoutError(f"the carrier at {host}:{port} sent nothing within {timeout:g} s") from error
        finally:
            if writer is not None:
                writer.close()

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _called(self) -> None:
        self.calls += 1


class _Silent(asyncio.Protocol):
    """Takes whatever comes, until its client hangs up."""

    def __init__(self, called: Callable[[], None]) -> None:
        self._called = called

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._called()


async def _until_either(reader: asyncio.StreamReader, ended: asyncio.Event) -> None:
    """Wait for an answer, or for the end of the fault."""
    waiting = (asyncio.create_task(reader.read(1)), asyncio.create_task(ended.wait()))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
