"""What an endpoint may do to a connection, as scripts for `tests.support.wire.raw_upstream`."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

from tests.support.wire import RawUpstream

Script = Callable[[RawUpstream, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Ending = Literal["close", "reset", "hang", "half-close", "again"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def reset(writer: asyncio.StreamWriter) -> None:
    """End with a RST: linger 0 throws away what was not sent, and says so."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def says(*parts: bytes | asyncio.Event, then: Ending = "close") -> Script:
    """Read a request's head, send each part in a write of its own, wait where a part is an event, then end.

    `again` serves the next request in the same way; `hang` stays silent until the other side is gone.
    """

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await upstream.read_head(reader)
            for part in parts:
                if isinstance(part, asyncio.Event):
                    await part.wait()
                else:
                    writer.write(part)
                    await writer.drain()
            if then != "again":
                break
        await end(reader, writer, then)

    return script


async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, how: Ending) -> None:
    """End a connection; after `hang` and `half-close` the other side has gone."""
    if how == "reset":
        reset(writer)
    elif how in ("hang", "half-close"):
        if how == "half-close":
            writer.write_eof()
        while await reader.read(65536):
            pass


async def healthy(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request with 200 and `ok`, whatever its body (which must have a Content-Length, if any)."""
    while True:
        head = await upstream.read_head(reader)
        length = field(head, b"content-length")
        if length is not None:
            await reader.readexactly(int(length))
        writer.write(OK)
        await writer.drain()


def field(head: bytes, name: bytes) -> bytes | None:
    """The first value of a header field in a head as sent; the name in lower case."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


@contextmanager
def refused_address() -> Iterator[str]:
    """An address on which connections are refused: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@asynccontextmanager
async def full_backlog() -> AsyncIterator[str]:
    """The address of a listener whose accept queue is full: a further SYN gets no answer."""
    loop = asyncio.get_running_loop()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        while True:
            filler = socket.socket()
            filler.setblocking(False)
            fillers.append(filler)
            try:
                async with asyncio.timeout(0.05):
                    await loop.sock_connect(filler, listener.getsockname())
            except TimeoutError:
                break
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for filler in fillers:
            filler.close()
        listener.close()
