"""An app's answer as it will be on the wire, and what scripts may change about it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

CRLF: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. `head` is everything up to and including the empty line; `body` is as framed for the wire.

    `length`: bytes of `body` on the wire, None where only its end tells. `reusable`: another request may follow on
    the connection after it.
    """

    status: int
    head: bytes
    body: bytes | AsyncIterator[bytes]
    length: int | None
    reusable: bool = True

    @property
    def chunked(self) -> bool:
        """Whether the head says that the body is chunked."""
        return b"\r\ntransfer-encoding:" in self.head.lower()


class _Date:
    """The Date header's text, made once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self) -> str:
        """Now, as RFC 9110 section 5.6.7 writes it."""
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


_DATE: Final = _Date()
_REASONS: Final = {
    **{status.value: status.phrase for status in HTTPStatus},
    413: "Content Too Large",  # as RFC 9110 has it; before Python 3.13 the standard library has an older phrase
}


def reason(status: int) -> str:
    """A status code's phrase."""
    return _REASONS.get(status, "Unknown")


def head(status: int, length: int, content_type: str, extra: str = "") -> bytes:
    r"""Return a complete response head with Content-Length. ``extra`` holds further lines, each ending in \r\n."""
    return (
        f"HTTP/1.1 {status} {reason(status)}\r\nServer: badgateway-shop\r\nDate: {_DATE.text()}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n{extra}\r\n"
    ).encode("latin-1")


def with_status_line(answer: Answer, line: bytes) -> Answer:
    """Replace the whole first line."""
    _, _, rest = answer.head.partition(CRLF)
    return replace(answer, head=line + CRLF + rest)


def with_version(answer: Answer, version: bytes) -> Answer:
    """Replace the HTTP version in the first line."""
    _, space, rest = answer.head.partition(b" ")
    return replace(answer, head=version + space + rest)


def with_header(answer: Answer, lines: bytes) -> Answer:
    """Put raw header lines in before the end of the head."""
    return replace(answer, head=answer.head[:-2] + lines + CRLF)


def without(answer: Answer, *names: bytes) -> Answer:
    """Drop every header of these (lower-case) names."""
    first, *lines = answer.head[:-4].split(CRLF)
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in names]
    return replace(answer, head=CRLF.join([first, *kept]) + CRLF + CRLF)


def as_chunked(answer: Answer) -> Answer:
    """The same answer with a chunked body. One that has no body, or is chunked already, stays."""
    if answer.chunked or answer.status in (204, 304):
        return answer
    plain = without(answer, b"content-length")
    headed = with_header(plain, b"Transfer-Encoding: chunked\r\n")
    if answer.body == b"" and answer.length == 0 and b"\r\ncontent-length: 0\r\n" not in answer.head.lower():
        return headed  # the answer to a HEAD request: headers only
    if isinstance(answer.body, bytes):
        body = (_chunk(answer.body) if answer.body else b"") + b"0\r\n\r\n"
        return replace(headed, body=body, length=len(body))
    return replace(headed, body=_chunks(answer.body), length=None)


def ended_by_closing(answer: Answer) -> Answer:
    """The same answer without a length: its end is the connection's end. A chunked body stays chunked."""
    plain = without(answer, b"content-length", b"connection", b"keep-alive")
    return replace(with_header(plain, b"Connection: close\r\n"), reusable=False)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _chunks(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in body:
        if piece:
            yield _chunk(piece)
    yield b"0\r\n\r\n"
