"""A request's body on its way through, within its deadline and its cap.

One that is already there is kept whole (aiohttp buffers little), so that it goes out with the head and can be
sent again.
"""

import asyncio

from aiohttp import StreamReader, web
from aiohttp.streams import EMPTY_PAYLOAD

from badgateway_proxy.client_faults import client_error
from badgateway_proxy.errors import HopError


class RequestBody:
    """What the client sends behind its request's head.

    Args:
        request: the request.
        limit: the most bytes accepted (413 beyond it).
        within: seconds that each wait for more may take (408 beyond them), as nginx's client_body_timeout.

    Raises:
        HopError: 413 at once, where the Content-Length alone exceeds the limit.
    """

    __slots__ = ("_content", "_limit", "_within", "chunked", "expects_continue", "received", "small")

    def __init__(self, request: web.BaseRequest, *, limit: int, within: float) -> None:
        self._content: StreamReader = request.content
        self._limit = limit
        self._within = within
        self.received = 0
        self.small: bytes | None = None
        self.chunked = False
        self.expects_continue = False
        if self._content is EMPTY_PAYLOAD:
            self.small = b""
            return
        length = request.content_length
        if length is not None and length > limit:
            raise self._too_large()
        self.chunked = length is None
        self.expects_continue = request.headers.get("Expect", "").lower() == "100-continue"
        if not self.expects_continue and self._content.is_eof():
            self.small = self._content.read_nowait()
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
