"""Reading requests whose method llhttp does not know, although any token is one (RFC 9110 section 9.1)."""

import re
from collections.abc import Sequence
from typing import Any

from aiohttp.http import HttpRequestParser, RawRequestMessage

_METHOD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32})( |\Z)")

#: What the parser reads in place of the method: one that frames a request as any other but CONNECT does.
_STAND_IN = b"POST"


class CustomMethod:
    """A parser that reads a known method where the first request has another, and tells the true one.

    Args:
        parser: a new parser of aiohttp's; what is not said here, it does.
    """

    __slots__ = ("_method", "_opening", "_parser", "told")

    def __init__(self, parser: HttpRequestParser) -> None:
        self._parser = parser
        self._opening = b""
        self._method = ""
        #: Whether the head of that request has arrived whole, and was told.
        self.told = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[tuple[RawRequestMessage, Any]], bool, bytes]:
        """As aiohttp's; `data` begins with the whole head of the request."""
        if not self._method:
            data = (self._opening + data).lstrip(b"\r\n")
            found = _METHOD.match(data)
            if found is not None and not found[2]:
                self._opening = data
                return (), False, b""
            if found is not None:
                self._method = found[1].decode()
                data = _STAND_IN + data[found.end(1) :]
        messages, upgraded, tail = self._parser.feed_data(data)
        if messages and not self.told:
            self.told = True
            (message, payload), *later = messages
            messages = [(message._replace(method=self._method), payload), *later]
        return messages, upgraded, tail
