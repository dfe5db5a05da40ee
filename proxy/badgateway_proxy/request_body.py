"""A request's body on its way through, within its deadline and its cap.

One that is already there is kept whole (aiohttp buffers little), so that it goes out with the head and can be
sent again.
"""

import asyncio

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from badgateway_proxy.client_faults import client_error
from badgateway_proxy.errors import HopError


class RequestBody:
    """What the client sends behind its request's head.

    Args:
        message: the request's head.
        content: where its body is read from.
        limit: the most bytes accepted (413 beyond it).
        within: seconds that each wait for more may take (408 beyond them), as nginx's client_body_timeout.

    Raises:
        HopError: 413 at once, where the Content-Length alone exceeds the limit.
    """

    __slots__ = ("_content", "_limit", "_within", "chunked", "expects_continue", "received", "small")

    def __init__(self, message: RawRequestMessage, content: StreamReader, *, limit: int, within: float) -> None:
        self._content = content
        self._limit = limit
        self._within = within
        self.received = 0
        self.small: bytes | None = None
        self.chunked = message.chunked
        self.expects_continue = message.headers.get("Expect", "").lower() == "100-continue"
        if not self.chunked and int(message.headers.get("Content-Length", "0")) > limit:
            raise self._too_large()
        if content.is_eof() and not self.expects_continue:
            self.small = content.read_nowait()
            self._count(len(self.small))

    def _too_large(self) -> HopError:
        return client_error(413, f"the request body exceeds {self._limit} bytes")

    def _count(self, size: int) -> None:
        self.received += size
        if self.received > self._limit:
            raise self._too_large()

    async def read(self) -> bytes:
        """Return some of the body, `b""` at its end.

        Raises:
            HopError: 400 (framing broken half way), 408 (too slow), 413 (too large).
        """
        try:
            async with asyncio.timeout(self._within):
                data = await self._content.readany()
        except TimeoutError as error:
            raise client_error(408, f"no more of the request body came within {self._within:g} s") from error
        except web.RequestPayloadError as error:
            raise client_error(400, "the request body's framing broke half way") from error
        self._count(len(data))
        return data

    @property
    def unread(self) -> bool:
        """Whether some of the body has not been read: the client's connection cannot be used again."""
        return not self._content.at_eof()


class _NoBody(RequestBody):
    """A request without a body; one object serves them all."""

    __slots__ = ()

    def __init__(self) -> None:
        self._content = EMPTY_PAYLOAD
        self._limit = self.received = 0
        self._within = 0.0
        self.small = b""
        self.chunked = self.expects_continue = False


NO_BODY = _NoBody()


def request_body(message: RawRequestMessage, content: StreamReader, *, limit: int, within: float) -> RequestBody:
    """The body of this request: see `RequestBody`, which most requests need none of."""
    if content is EMPTY_PAYLOAD:
        return NO_BODY
    return RequestBody(message, content, limit=limit, within=within)
