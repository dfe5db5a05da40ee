"""Where bytes go on their way to the client. Flow faults are sinks that pass on to another sink."""

from __future__ import annotations

from typing import Protocol


class StreamEndedError(Exception):
    """A sink ended the connection by itself; whoever was sending should stop."""


class Sink(Protocol):
    """Takes bytes for one client connection. Raises ConnectionError or StreamEndedError when that is over."""

    async def write(self, data: bytes) -> None:
        """Hand on the bytes; returns when the kernel has them."""

    async def close(self) -> None:
        """End the stream in an orderly way (FIN)."""

    async def reset(self) -> None:
        """Break the connection off (RST)."""


class Shaper:
    """A sink that passes everything on unchanged; flow faults override what they change."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    async def write(self, data: bytes) -> None:
        """See `Sink.write`."""
        await self._inner.write(data)

    async def close(self) -> None:
        """See `Sink.close`."""
        await self._inner.close()

    async def reset(self) -> None:
        """See `Sink.reset`."""
        await self._inner.reset()
