"""An upstream connection driven by hand: no socket, every packet cut where the test wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from badgateway_proxy.transport.response_reader import ResponseLimits
from badgateway_proxy.transport.upstream_connection import UpstreamConnection

LIMITS = ResponseLimits(head=2000, header=1000, headers=20, interim=3, first_bytes=64)
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Pipe(asyncio.Transport):
    """A transport that only remembers."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 4321)})
        self.written = b""
        self.reading = True
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True


@contextlib.contextmanager
def loop_running_nothing() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for the timers of connections that are driven by hand."""
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


def connection_on(
    loop: asyncio.AbstractEventLoop, method: str = "GET", limits: ResponseLimits = LIMITS
) -> tuple[UpstreamConnection, Pipe]:
    connection, pipe = UpstreamConnection(loop, limits, lambda _: None), Pipe()
    connection.connection_made(pipe)
    connection.send_head(REQUEST, method)
    return connection, pipe
