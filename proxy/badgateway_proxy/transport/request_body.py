"""A request's body on its way through, within its deadline and its cap.

One that is already there is kept whole (aiohttp buffers little), so that it goes out with the head and can be
sent again.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.client_faults import client_error


def kept(headers: Iterable[tuple[bytes, bytes]], body: bytes | None) -> dict[str, Any]:
    """What a record keeps of a request that is over, as JSON.

    Args:
        headers: the header section.
        body: the request's body, None for one that was not kept.

    Returns:
        `headers`, a list of pairs, and `body`, a text or None.
    """
    return {
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers],
        "body": None if body is None else body.decode("utf-8", "backslashreplace"),
    }


class RequestBody:
    """What the client sends behind its request's head.

    Args:
        message: the request's head.
        content: where its body is read from.
        limit: the most bytes accepted (413 beyond it).
        within: seconds that the client may keep us waiting, all waits together (408 beyond them). What an endpoint
            takes to read it does not count.
        keep: how many bytes are kept of it, for the record.

    Raises:
        HopError: 413 at once, where the Content-Length alone exceeds the limit.
    """

    __slots__ = (
        "_content", "_keep", "_kept", "_limit", "_patience", "chunked", "expects_continue", "received", "small",
    )  # fmt: skip

    def __init__(
        self, message: RawRequestMessage, content: StreamReader, *, limit: int, within: float, keep: int = 0
    ) -> None:
        self._content = content
        self._limit = limit
        self._patience = within
        self._keep = keep
        self._kept = b""
        self.received = 0
        self.small: bytes | None = None
        self.chunked = message.chunked
        self.expects_continue = False
        if not self.chunked and int(message.headers.get("Content-Length", "0")) > limit:
            raise self._too_large()
        if content.is_eof():
            self.small = content.read_nowait()
            self._count(len(self.small))
        elif message.version == HttpVersion11:  # RFC 9110 section 10.1.1: ignored in HTTP/1.0
            self.expects_continue = message.headers.get("Expect", "").lower() == "100-continue"

    def _too_large(self) -> HopError:
        return client_error(413, f"the request body exceeds {self._limit} bytes")

    def _count(self, size: int) -> None:
        self.received += size
        if self.received > self._limit:
            raise self._too_large()

    async def read(self, whole: float) -> bytes:
        """Return some of the body, `b""` at its end.

        Args:
            whole: when the whole exchange must be over: absolute time of the loop's clock, in seconds.

        Raises:
            HopError: 400 (framing broken half way), 408 (too slow), 413 (too large).
            ConnectionError: the client left.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout_at(min(started + self._patience, whole)):
                data = await self._content.readany()
        except TimeoutError as error:
            raise client_error(408, "the request body did not come in time") from error
        except web.RequestPayloadError as error:
            raise client_error(400, "the request body's framing broke half way") from error
        except RuntimeError as error:  # which is what aiohttp's reader says of a connection that is gone
            raise ConnectionResetError("the client left") from error
        self._patience -= time.monotonic() - started
        self._count(len(data))
        if self.received <= self._keep:
            self._kept += data
        return data

    @property
    def kept(self) -> bytes | None:
        """All of it, if it has been read to its end and is no longer than what was to be kept; else None."""
        if self.received > self._keep or self.unread:
            return None
        return self._kept if self.small is None else self.small

    @property
    def unread(self) -> bool:
        """Whether some of the body has not been read: the client's connection cannot be used again."""
        return not self._content.at_eof()


class _NoBody(RequestBody):
    """A request without a body; one object serves them all."""

    __slots__ = ()

    def __init__(self) -> None:
        self._content = EMPTY_PAYLOAD
        self._limit = self._keep = self.received = 0
        self._patience = 0.0
        self.small = b""
        self.chunked = self.expects_continue = False


NO_BODY = _NoBody()
