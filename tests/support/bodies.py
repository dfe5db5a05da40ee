"""What tests of request bodies share."""

from __future__ import annotations

import asyncio
import contextlib

from tests.support.peers import OK, field
from tests.support.rawclient import RawClient
from tests.support.wire import RawUpstream


class Collector:
    """An endpoint that keeps the bodies that it is sent, as bytes on the wire, and says ok."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.sizes: list[int] = []

    async def script(self, upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await upstream.read_head(reader)
            length = field(head, b"content-length")
            if length is not None:
                self.bodies.append(await reader.readexactly(int(length)))
            elif field(head, b"transfer-encoding") == b"chunked":
                self.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
            else:
                self.bodies.append(b"")
            writer.write(OK)


def post(*lines: str, body: bytes = b"", version: str = "1.1") -> bytes:
    return "\r\n".join([f"POST /x HTTP/{version}", "Host: shop.example", *lines, "", ""]).encode() + body


async def upload_until_refused(client: RawClient, size: int) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(size >> 16):
            await client.send(bytes(1 << 16))
