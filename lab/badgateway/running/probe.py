"""A client that sends one request and sees it all: interim responses, truncation, FIN or RST, bytes that are no HTTP.

It never sends anything twice, follows no redirect, undoes no content coding, and adds only Host, X-Request-ID and
Content-Length.
"""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from badgateway.running.answer import Answer, Header
from badgateway.running.reading import Reading

BODY_CAP = 256 * 1024
"""Bytes of a body that are kept by default."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a slow client sends: so many bytes, and again after `every` seconds."""

    bytes: int
    every: float


async def send(
    url: str,
    method: str = "GET",
    path: str = "/",
    headers: Mapping[str, str] | Iterable[Header] = (),
    body: bytes | None = None,
    timeout: float = 30.0,
    *,
    body_cap: int = BODY_CAP,
    version: str = "1.1",
    pace: Pace | None = None,
) -> Answer:
    """Send one request over a connection of its own to `url` (scheme, host and port) and return what came of it.

    With https it takes any certificate: it is here to see what hops decide, as `curl -k` would.
    `timeout` is for all of it, in seconds. `version` of HTTP is what the request line says, whatever that is; `pace`
    sends slowly, and stops when an answer came. Network trouble is in the answer's `failure`, never raised.
    Raises ValueError for a request that cannot be written (a line break in a header, no http URL).
    """
    client = Client(url, body_cap=body_cap)
    try:
        return await client.send(method, path, headers, body, timeout, version=version, pace=pace)
    finally:
        client.close()


class Client:
    """Sends requests to one address, over connections that it keeps and reuses; never sends a request twice."""

    def __init__(self, url: str, *, body_cap: int = BODY_CAP) -> None:
        """`url` says scheme (http or https), host and port. Raises ValueError if it does not."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http:// or https:// URL")
        self._tls = _careless() if parts.scheme == "https" else None
        self.host, self.port = parts.hostname, parts.port or (80 if self._tls is None else 443)
        self.authority = parts.netloc
        self.body_cap = body_cap
        self._idle: list[_Connection] = []

    def close(self) -> None:
        """Close every idle connection."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | Iterable[Header] = (),
        body: bytes | None = None,
        timeout: float = 30.0,
        *,
        version: str = "1.1",
        pace: Pace | None = None,
    ) -> Answer:
        """As the function `send`, over a kept connection if there is one."""
        request_id, head = self._head(f"{method} {path} HTTP/{version}", headers, body)
        loop = asyncio.get_running_loop()
        started = loop.time()
        reading = Reading(request_id, method, self.body_cap, started)
        deadline = started + timeout
        connection = self._reusable()
        try:
            async with asyncio.timeout_at(deadline):
                if connection is None:
                    _, connection = await loop.create_connection(_Connection, self.host, self.port, ssl=self._tls)
                await connection.exchange(reading, head + (body or b""), pace)
        except TimeoutError:
            reading.fail("timed_out", f"no answer within {timeout:g} s")
        except ConnectionResetError:
            reading.fail("reset", "reset while connecting")
        except ssl.SSLError as error:
            reading.fail("closed", f"no TLS: {error.reason or error}")
        except OSError as error:
            reading.fail("refused", error.strerror or str(error))
        finally:
            if connection is not None:
                self._put_back(connection, reading)
        return reading.answer(loop.time())

    def _head(self, line: str, headers: Mapping[str, str] | Iterable[Header], body: bytes | None) -> tuple[str, bytes]:
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name.lower() for name, _ in given}
        if "host" not in names:
            given.insert(0, ("Host", self.authority))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            given.append(("Content-Length", str(len(body))))
        request_id = next((value for name, value in given if name.lower() == "x-request-id"), "")
        if not request_id:
            request_id = uuid.uuid4().hex
            given.append(("X-Request-ID", request_id))
        lines = [line, *(f"{name}: {value}" for name, value in given)]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a request line or header cannot hold a line break")
        return request_id, "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")

    def _reusable(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return None

    def _put_back(self, connection: _Connection, reading: Reading) -> None:
        if reading.reusable and connection.open:
            self._idle.append(connection)
        else:
            connection.close()


def _careless() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Connection(asyncio.Protocol):
    """One TCP connection; at most one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._finished: asyncio.Future[None] | None = None
        self.open = False

    async def exchange(self, reading: Reading, request: bytes, pace: Pace | None = None) -> None:
        """Send a request and wait until its exchange is done."""
        self._reading = reading
        self._finished = asyncio.get_running_loop().create_future()
        if self.transport is None or not self.open:
            reading.lost("FIN")
            return
        try:
            if pace is None:
                self.transport.write(request)
            else:
                await self._send_slowly(request, pace, self._finished)
            await self._finished
        finally:
            self._reading = None

    async def _send_slowly(self, request: bytes, pace: Pace, finished: asyncio.Future[None]) -> None:
        for start in range(0, len(request), pace.bytes):
            if self.transport is None or not self.open or finished.done():
                return
            self.transport.write(request[start : start + pace.bytes])
            await asyncio.wait([finished], timeout=pace.every)

    def close(self) -> None:
        """Close at once; what is still unsent is dropped."""
        self.open = False
        if self.transport is not None:
            self.transport.abort() if self._reading else self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        if self._reading is None:
            self.close()  # bytes that nobody asked for
            return
        self._reading.feed(data)
        self._settle()

    def eof_received(self) -> None:
        self._ended("FIN")

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended("FIN" if exc is None else "RST")

    def _ended(self, end: Literal["FIN", "RST"]) -> None:
        self.open = False
        if self._reading is not None:
            self._reading.lost(end)
        self._settle()

    def _settle(self) -> None:
        over = self._reading is not None and self._reading.done
        if over and self._finished is not None and not self._finished.done():
            self._finished.set_result(None)
