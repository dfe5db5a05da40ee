"""A client that is only a socket: tests send bytes and see bytes, and how the connection ended."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

End = Literal["fin", "reset"]


class RawClient:
    """One connection. `packets` are what each read got; `end` is how the server ended it, None while it has not."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self.packets: list[bytes] = []
        self.end: End | None = None

    @property
    def data(self) -> bytes:
        """Everything received so far."""
        return b"".join(self.packets)

    @property
    def local(self) -> str:
        """This end's address, as the server names its peer."""
        host, port = self._sock.getsockname()[:2]
        return f"{host}:{port}"

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def get(self, path: str = "/products/1", *headers: str, method: str = "GET") -> None:
        """Send a request without a body."""
        lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", *headers, "", ""]
        await self.send("\r\n".join(lines).encode())

    async def packet(self) -> bytes:
        """Return what the next read gets: b"" at the end."""
        try:
            got = await asyncio.get_running_loop().sock_recv(self._sock, 1 << 18)
        except ConnectionResetError:
            self.end = "reset"
            return b""
        if got:
            self.packets.append(got)
        else:
            self.end = "fin"
        return got

    async def until(self, wanted: bytes) -> bytes:
        """Read until ``wanted`` was received; fail when the connection ends before."""
        async with asyncio.timeout(self._deadline):
            while wanted not in self.data:
                assert await self.packet(), f"ended ({self.end}) before {wanted!r}: {self.data!r}"
        return self.data

    async def answer(self) -> bytes:
        """Read one answer with a Content-Length; return its body."""
        await self.until(b"\r\n\r\n")
        head, _, _ = self.data.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        async with asyncio.timeout(self._deadline):
            while len(self.data) < len(head) + 4 + length:
                assert await self.packet(), f"ended ({self.end}) in the body: {self.data!r}"
        rest = self.data[len(head) + 4 :]
        self.packets = [rest[length:]] if len(rest) > length else []
        return rest[:length]

    async def all(self) -> bytes:
        """Read until the connection ends; return everything."""
        async with asyncio.timeout(self._deadline):
            while await self.packet():
                pass
        return self.data

    async def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing comes, not even an end, for so long."""
        end = time.monotonic() + seconds
        while not select.select([self._sock], [], [], 0)[0]:  # giving up on a read may lose what it has just got
            if time.monotonic() > end:
                return True
            await asyncio.sleep(min(seconds / 10, 0.005))
        await self.packet()
        return False

    def half_close(self) -> None:
        """Send a FIN; go on reading."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


@asynccontextmanager
async def raw_client(address: str, *, deadline: float = 10.0) -> AsyncIterator[RawClient]:
    """Connect to ``host:port``; each wait for bytes fails after ``deadline`` seconds."""
    host, _, port = address.rpartition(":")
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(deadline):
            await asyncio.get_running_loop().sock_connect(sock, (host.strip("[]"), int(port)))
        yield RawClient(sock, deadline)
    finally:
        sock.close()
