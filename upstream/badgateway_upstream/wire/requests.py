"""From bytes to requests: the strict reading side of one client connection, without any socket."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import httptools

LARGEST_HEAD: Final = 64 * 1024
LARGEST_BODY_HELD: Final = 1 << 20
_BUFFERED: Final = 64 * 1024
_MANDATORY: Final = b"M-"
"""What the method of a mandatory request begins with (RFC 2774 section 5)."""
_PERHAPS_MANDATORY: Final = re.compile(rb"M(?:-|\Z)")
_METHOD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32})( |\Z)")
"""A token, as a method is one (RFC 9110 section 9.1), and the space behind it if that has arrived."""


class BadRequestError(Exception):
    """What arrived is no request that can be served. `status` is the answer to it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BodyTooLargeError(Exception):
    """A body that somebody wanted to hold whole is larger than a mebibyte."""


class BodyCutShortError(ConnectionError):
    """The client left before its whole body had arrived."""


class Body:
    """A request's body as it arrives. At most about 64 KiB wait for whoever reads; then the client has to wait.

    Until somebody reads or discards it, it is kept. `received` counts all of it.
    """

    __slots__ = ("_chunks", "_discarding", "_flow", "_waiters", "buffered", "complete", "cut", "on_read", "received")

    def __init__(self, flow: Callable[[], None]) -> None:
        self._chunks: deque[bytes] = deque()
        self._flow = flow
        self._discarding = False
        self._waiters: list[asyncio.Future[None]] = []
        self.buffered = 0
        self.received = 0
        self.complete = False
        self.cut = False
        self.on_read: Callable[[], None] | None = None

    @property
    def full(self) -> bool:
        """Whether the client should wait before it sends more."""
        return self.buffered > _BUFFERED

    def feed(self, data: bytes) -> None:
        """Bytes of the body arrived."""
        self.received += len(data)
        if not self._discarding:
            self._chunks.append(data)
            self.buffered += len(data)
        self._wake()

    def end(self, *, cut: bool = False) -> None:
        """The body is over; ``cut``: because the client left."""
        if not self.complete:
            self.complete, self.cut = True, cut
            self._wake()

    def discard(self) -> None:
        """Nobody will read the rest: count it and forget it."""
        self._discarding = True
        self._chunks.clear()
        self.buffered = 0
        self._flow()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive. Raises BodyCutShortError when the client leaves before its end."""
        self._expected()
        while True:
            while self._chunks:
                piece = self._chunks.popleft()
                self.buffered -= len(piece)
                self._flow()
                yield piece
            if self.complete:
                break
            await self._more()
        if self.cut:
            raise BodyCutShortError

    async def whole(self) -> bytes:
        """Return the whole body. Raises BodyTooLargeError above 1 MiB, BodyCutShortError when the client leaves."""
        parts = bytearray()
        async for piece in self.pieces():
            parts += piece
            if len(parts) > LARGEST_BODY_HELD:
                self.discard()
                raise BodyTooLargeError
        return bytes(parts)

    async def until(self, count: int | None) -> None:
        """Discard the body and wait until ``count`` bytes of it arrived, or (None) all of it, or the client left."""
        self._expected()
        self.discard()
        while not self.complete and (count is None or self.received < count):
            await self._more()

    def _expected(self) -> None:
        if self.on_read is not None:
            on_read, self.on_read = self.on_read, None
            if not self.complete and not self.received:
                on_read()

    async def _more(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Request:
    """One request, whose head has arrived. `headers` are as sent, in order; `path` is the target without its query.

    `tunnel` is what follows a request that asks for an upgrade, or CONNECT; None otherwise.
    """

    __slots__ = ("body", "headers", "keep_alive", "method", "number", "path", "target", "tunnel", "version")

    def __init__(self, body: Body, number: int) -> None:
        self.method = ""
        self.target = ""
        self.path = ""
        self.version = "1.1"
        self.headers: list[tuple[str, str]] = []
        self.body = body
        self.keep_alive = True
        self.tunnel: Body | None = None
        self.number = number

    @property
    def full(self) -> bool:
        """Whether the client should wait before it sends more."""
        return self.body.full or (self.tunnel is not None and self.tunnel.full)

    def header(self, name: str) -> str | None:
        """The first value of that header (name in lower case), or None."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


class Intake:
    """Feeds on a connection's bytes; whole heads come out as requests in `ready`."""

    def __init__(self, flow: Callable[[], None]) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._flow = flow
        self._opening = b""
        self._method = b""
        self._mandatory = False
        self._current: Request | None = None
        self._head_bytes = 0
        self._in_head = False
        self._tunnel: Body | None = None
        self.count = 0
        self.ready: deque[Request] = deque()

    @property
    def between_requests(self) -> bool:
        """Whether no request has begun to arrive that is not over yet."""
        return self._current is None and not self._in_head and not self._opening

    def feed(self, data: bytes) -> None:
        """Take in bytes. Raises BadRequestError; nothing more can be read from the connection then."""
        for piece in (data,) if _MANDATORY not in data and not data.endswith(b"M") else _before_each(data):
            if self._tunnel is not None:
                self._tunnel.feed(piece)
            elif self._current is not None or self._in_head:
                self._parse(piece)
            elif opened := self._opened(self._opening + piece):
                self._parse(opened)

    def _opened(self, data: bytes) -> bytes:
        """The beginning of a request as the parser can read it; nothing while its method has not arrived whole.

        The parser knows no method that begins with "M-" but M-SEARCH. What it means is the method without it.
        """
        self._opening, self._mandatory = b"", False
        start = data.lstrip(b"\r\n")
        found = _METHOD.match(start)
        if found is not None and not found[2]:
            self._opening = start
            return b""
        self._method = b"" if found is None else found[1]
        self._mandatory = self._method.startswith(_MANDATORY)
        return start[len(_MANDATORY) :] if self._mandatory else start

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError as error:
            if not self._method:
                raise BadRequestError(400, f"cannot parse the request: {error}") from error
            raise BadRequestError(501, f"the method {self._method.decode()} is not implemented here") from error
        except httptools.HttpParserUpgrade as switch:
            self._switch(data[switch.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            # Only our own callbacks raise these, and only BadRequestError.
            reason = error.__context__
            if isinstance(reason, BadRequestError):
                raise reason from None
            raise
        except httptools.HttpParserError as error:
            raise BadRequestError(400, f"cannot parse the request: {error}") from error
        if self._in_head:
            self._head_bytes += len(data)
            self._check_head()

    def end(self) -> None:
        """The client sends no more."""
        if self._tunnel is not None:
            self._tunnel.end()
        if self._current is not None:
            self._current.body.end(cut=True)

    def _switch(self, rest: bytes) -> None:
        # Nothing is parsed after such a request: were it granted, other bytes than HTTP would follow.
        request = self.ready[-1]
        request.tunnel = self._tunnel = Body(self._flow)
        request.body.end()
        if rest:
            self._tunnel.feed(rest)

    def _check_head(self) -> None:
        if self._head_bytes > LARGEST_HEAD:
            raise BadRequestError(431, f"the request head is larger than {LARGEST_HEAD} bytes")

    # What follows is called by httptools, in the order of the bytes.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._head_bytes = 0
        self.count += 1
        self._current = Request(Body(self._flow), self.count)

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        assert self._current is not None
        self._head_bytes += len(url)
        self._check_head()
        self._current.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        assert self._current is not None
        self._head_bytes += len(name) + len(value) + 4
        self._check_head()
        self._current.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is complete: the request can be served while its body still arrives."""
        request = self._current
        assert request is not None
        self._in_head = False
        request.method = ("M-" if self._mandatory else "") + self._parser.get_method().decode("latin-1")
        self._mandatory = False
        request.version = self._parser.get_http_version()
        if request.version not in ("1.0", "1.1"):
            raise BadRequestError(505, f"HTTP/{request.version} is not spoken here")
        request.keep_alive = self._parser.should_keep_alive()
        request.path = request.target.partition("?")[0]
        self.ready.append(request)

    def on_body(self, data: bytes) -> None:
        """A piece of the body, without its framing."""
        if self._current is not None:
            self._current.body.feed(data)

    def on_message_complete(self) -> None:
        """The request is over."""
        self._method = b""
        if self._current is not None:
            self._current.body.end()
            self._current = None


def _before_each(data: bytes) -> Iterator[bytes]:
    """Cut ``data`` before each place where a mandatory request could begin."""
    cuts = [found.start() for found in _PERHAPS_MANDATORY.finditer(data) if found.start()]
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        yield data[start:end]
