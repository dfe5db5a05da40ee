"""Relay mode: the true answer comes from a real service, its bytes passed on as they are.

Each request gets its own connection to the backend. Of the request only Host and Connection are edited; of the
response nothing. A backend that cannot be connected to is answered for with an honest 502 that says so; one that
breaks off breaks off here too: what came is passed on, then the connection is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import httptools

from badgateway_upstream.app.answers import Answer, head
from badgateway_upstream.app.handling import GaveUpError
from badgateway_upstream.app.store import as_json
from badgateway_upstream.near_addresses import is_near
from badgateway_upstream.service import Strike
from badgateway_upstream.wire.requests import Body, BodyCutShortError, Request

_LOG: Final = logging.getLogger("badgateway_upstream.app.relay")
_PIECE: Final = 64 * 1024
_CONNECT: Final = 5.0
_EDITED: Final = ("host", "connection", "keep-alive", "proxy-connection")


class UnreachableError(Exception):
    """The backend cannot be, or may not be, connected to."""


def backend_address(url: str) -> tuple[str, int]:
    """Return host and port of a backend URL. Raises ``ValueError`` saying what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise ValueError("must be an http:// URL, such as http://127.0.0.1:3000")
    if not parts.hostname or parts.username is not None:
        raise ValueError("must name a host, and no user")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must have no path: requests keep theirs")
    return parts.hostname, parts.port or 80


class Relay:
    """Asks the backend for each answer (see the module). ``allow_public``: wherever its name resolves to."""

    def __init__(self, name: str, backend: str, *, allow_public: bool = False) -> None:
        self._name = name
        self._backend = backend
        self._host, self._port = backend_address(backend)
        self._allow_public = allow_public

    async def answer(self, request: Request, strike: Strike | None = None) -> Answer:
        """Return the backend's answer, whose body is still arriving. Raises ConnectionError when it breaks off."""
        if strike is not None:
            try:
                waiting = strike()
                if waiting is not None:
                    await waiting
            except GaveUpError as error:
                return self._own(error.status, str(error))
            except Exception:  # noqa: BLE001 - as an app's outermost handler: log it, answer 500
                _LOG.exception("in %s", request.path, extra={"request_id": request.header("x-request-id")})
                return self._own(500, "internal server error")
        try:
            reader, writer = await self._connect()
        except UnreachableError as error:
            return self._own(502, str(error))
        call = _Call(request, reader, writer)
        try:
            return await call.begin(self._authority())
        except BaseException:
            call.close()
            raise

    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return host if self._port == 80 else f"{host}:{self._port}"

    def _own(self, status: int, what: str) -> Answer:
        body = as_json({"error": what, "instance": self._name})
        return Answer(
            status, head(status, len(body), "application/json", "Connection: close\r\n"), body, len(body), False
        )

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(_CONNECT):
                found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                address = str(found[0][4][0])
                if not self._allow_public and not is_near(address):
                    raise UnreachableError(
                        f"the backend {self._backend} is at {address}, a public address;"
                        " start the instance with --allow-public to relay there"
                    )
                return await asyncio.open_connection(address, self._port)
        except TimeoutError as error:
            raise UnreachableError(f"the backend {self._backend} did not answer in {_CONNECT:g} s") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise UnreachableError(f"the backend {self._backend} cannot be reached: {reason}") from error


class _Call:
    """One request to the backend, and its response."""

    def __init__(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._request = request
        self._reader = reader
        self._writer = writer
        self._sending: asyncio.Task[None] | None = None
        self._message_over = False

    async def begin(self, authority: str) -> Answer:
        """Send the request and return the answer as soon as its head has arrived."""
        self._sending = asyncio.create_task(self._send(authority))
        received = bytearray()
        interim = bytearray()
        while True:
            end = received.find(b"\r\n\r\n")
            status = _status(received)
            if status is None and len(received) >= 16:
                break  # no HTTP: passed on as it comes
            if end >= 0 and status is not None and 100 <= status < 200 and status != 101:
                interim += received[: end + 4]
                del received[: end + 4]
                continue
            if end >= 0 or len(received) > _PIECE:
                break
            piece = await self._reader.read(_PIECE)
            if not piece:
                break
            received += piece
        if not received and not interim:
            raise ConnectionResetError("the backend closed the connection without an answer")
        return self._answer(bytes(interim), bytes(received), end, status)

    def close(self) -> None:
        """Let go of the backend."""
        if self._sending is not None:
            self._sending.cancel()
        self._writer.close()

    def _answer(self, interim: bytes, received: bytes, end: int, status: int | None) -> Answer:
        if end < 0 or status is None:
            return Answer(status or 0, interim, self._until_closed(received), None, reusable=False)
        top, first = received[: end + 4], received[end + 4 :]
        length = _content_length(top)
        lower = top.lower()
        reusable = b"\r\nconnection: close\r\n" not in lower and not top.startswith(b"HTTP/1.0")
        if status == 101:
            return Answer(status, interim + top, self._tunnelled(first), None, reusable=False)
        if self._request.method == "HEAD" or status in (204, 304):
            self.close()
            return Answer(status, interim + top, b"", 0, reusable)
        if b"\r\ntransfer-encoding:" in lower or length is None:
            return Answer(status, interim + top, self._parsed(top, first), None, reusable)
        return Answer(status, interim + top, self._counted(first, length), length, reusable)

    async def _send(self, authority: str) -> None:
        request = self._request
        kept = [(name, value) for name, value in request.headers if name.lower() not in _EDITED]
        wanted = "Upgrade" if request.tunnel is not None else "keep-alive"
        lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {authority}", f"Connection: {wanted}"]
        lines += [f"{name}: {value}" for name, value in kept]
        chunked = request.header("transfer-encoding") is not None
        with contextlib.suppress(ConnectionError, BodyCutShortError):
            self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            await self._forward(request.body, chunked=chunked)
            if chunked:
                self._writer.write(b"0\r\n\r\n")
            await self._writer.drain()
            return
        # Either side broke off in the middle of the body; the other learns of it by its connection being closed.
        if request.body.cut:
            self._writer.close()

    async def _forward(self, body: Body, *, chunked: bool) -> None:
        async for piece in body.pieces():
            self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await self._writer.drain()

    async def _counted(self, first: bytes, length: int) -> AsyncIterator[bytes]:
        try:
            left = length
            piece = first
            while left > 0:
                if piece:
                    left -= len(piece)
                    yield piece
                if left > 0:
                    piece = await self._reader.read(_PIECE)
                    if not piece:
                        raise ConnectionResetError("the backend closed in the middle of its body")
        finally:
            self.close()

    async def _parsed(self, top: bytes, first: bytes) -> AsyncIterator[bytes]:
        """Pass the body on, parsing it only to know where it ends; what cannot be parsed ends when it closes."""
        parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        try:
            piece = top
            while True:
                if parser is not None:
                    try:
                        parser.feed_data(piece)
                    except httptools.HttpParserError:
                        parser = None
                if piece is not top:
                    yield piece
                if self._message_over:
                    return
                piece = first if piece is top and first else await self._reader.read(_PIECE)
                if not piece:
                    raise ConnectionResetError("the backend closed")
        finally:
            self.close()

    def on_message_complete(self) -> None:
        """Called by httptools at the end of the response."""
        self._message_over = True

    async def _until_closed(self, first: bytes) -> AsyncIterator[bytes]:
        try:
            if first:
                yield first
            while piece := await self._reader.read(_PIECE):
                yield piece
        finally:
            self.close()

    async def _tunnelled(self, first: bytes) -> AsyncIterator[bytes]:
        tunnel = self._request.tunnel
        if tunnel is not None:
            self._sending = asyncio.create_task(self._pass_on(tunnel))
        async for piece in self._until_closed(first):
            yield piece

    async def _pass_on(self, tunnel: Body) -> None:
        with contextlib.suppress(ConnectionError):
            await self._forward(tunnel, chunked=False)
            if self._writer.can_write_eof():
                self._writer.write_eof()


def _status(received: bytes | bytearray) -> int | None:
    code = received[9:12]
    if received.startswith(b"HTTP/1.") and received[8:9] == b" " and code.isdigit() and len(code) == 3:
        return int(code)
    return None


def _content_length(top: bytes) -> int | None:
    for line in top.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            text = value.strip()
            return int(text) if text.isdigit() and len(text) < 19 else None
    return None
