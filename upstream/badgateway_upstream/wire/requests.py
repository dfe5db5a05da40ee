"""From bytes to requests: the strict reading side of one client connection, without any socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import httptools

LARGEST_HEAD: Final = 64 * 1024
LARGEST_BODY_HELD: Final = 1 << 20
_BUFFERED: Final = 64 * 1024


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
        self._current: Request | None = None
        self._head_bytes = 0
        self._in_head = False
        self._tunnel: Body | None = None
        self.count = 0
        self.ready: deque[Request] = deque()

    @property
    def between_requests(self) -> bool:
        """Whether no request has begun to arrive that is not over yet."""
        return self._current is None and not self._in_head

    def feed(self, data: bytes) -> None:
        """Take in bytes. Raises BadRequestError; nothing more can be read from the connection then."""
        if self._tunnel is not None:
            self._tunnel.feed(data)
            return
        try:
            self._parser.feed_data(data)
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
        request.method = self._parser.get_method().decode("latin-1")
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
        if self._current is not None:
            self._current.body.end()
            self._current = None
