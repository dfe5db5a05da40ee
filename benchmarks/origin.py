"""A tiny server to stand behind the proxy under test: ``python -m benchmarks.origin``.

It prints a ready line and ends when its stdin does. Targets: ``/bytes/N`` (N bytes with a Content-Length),
``/chunked/N`` (the same, chunked), ``/hang`` (never answered), any other (1 KiB of JSON). A request's body is
read and counted, and then answered with ``{"received": N}``. It trusts its peer: a proxy checked the framing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator

SMALL = json.dumps({"product": "x" * 1006}).encode()[:1024].ljust(1024)
_BLOCK = bytes(range(256)) * 256  # 64 KiB


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._due = 0  # bytes of request body still to come
        self._taken = 0
        self._sending: Iterator[bytes] | None = None
        self._paused = False
        self._last = False  # the client asked for no more: close behind the answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._due:
            self._take(len(data))
            return
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0 and not self._due:
            head = bytes(self._buffer[:end])
            del self._buffer[: end + 4]
            self._answer(head)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._sending = None

    def _answer(self, head: bytes) -> None:
        target = head.split(b" ", 2)[1]
        kind, _, number = target[1:].partition(b"/")
        length = _content_length(head)
        self._last = b"\r\nconnection: close" in head.lower()
        if length:
            self._due, self._taken = length, 0
            waiting = len(self._buffer)
            self._buffer.clear()
            self._take(waiting)
        elif kind == b"bytes":
            self._begin(b"Content-Length: %d" % int(number), _plain(int(number)))
        elif kind == b"chunked":
            self._begin(b"Transfer-Encoding: chunked", _chunks(int(number)))
        elif kind != b"hang":
            self._write(_RESPONSE)
            self._end()

    def _take(self, count: int) -> None:
        self._due -= count
        self._taken += count
        if self._due <= 0:
            self._due = 0
            body = b'{"received": %d}' % self._taken
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            self._end()

    def _begin(self, framing: bytes, blocks: Iterator[bytes]) -> None:
        self._write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n%b\r\n\r\n" % framing)
        self._sending = blocks
        self._send_on()

    def _send_on(self) -> None:
        while self._sending is not None and not self._paused:
            block = next(self._sending, None)
            if block is None:
                self._sending = None
                self._end()
            else:
                self._write(block)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _end(self) -> None:
        if self._last and self._transport is not None:
            self._transport.close()


_RESPONSE = b"HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(SMALL),
    SMALL,
)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _plain(total: int) -> Iterator[bytes]:
    for _ in range(total // len(_BLOCK)):
        yield _BLOCK
    yield _BLOCK[: total % len(_BLOCK)]


def _chunks(total: int) -> Iterator[bytes]:
    for block in _plain(total):
        if block:
            yield b"%x\r\n%b\r\n" % (len(block), block)
    yield b"0\r\n\r\n"


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    print(json.dumps({"event": "ready", "name": "origin", "pid": os.getpid(), "listen": f"{host}:{port}"}))
    sys.stdout.flush()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(0, 4096) else ended.set())
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
