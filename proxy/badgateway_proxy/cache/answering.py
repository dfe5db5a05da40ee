"""What a client gets of a stored response: all of it, a part, or word that it has it already. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from badgateway_proxy.cache.asked import Asked
from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.policies.caching.fields import Fields
from badgateway_proxy.policies.caching.ranges import Part, Unsatisfiable, part_of
from badgateway_proxy.policies.caching.validation import in_not_modified, not_modified
from badgateway_proxy.transport.headers import status_line

_OK = 200
_WITHOUT_LENGTH = frozenset((204, 304))
_OF_A_PART = frozenset((b"content-range", b"content-type", b"content-encoding", b"content-language"))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response made of a stored one.

    ``head``: its status line and fields, as far as they are the same for everybody. ``length``: what Content-Length
    says; None where it says nothing. ``start`` and ``stop``: the bytes of the stored body that follow; None for none,
    and ``stop`` None for all that comes. ``chunked``: nobody knows how much that will be.
    """

    status: int
    head: bytes
    length: int | None
    start: int | None
    stop: int | None = None
    chunked: bool = False


def answer_from(stored: Stored, asked: Asked) -> Answer:
    """The response to a request that ``stored`` is fresh enough for."""
    if asked.conditional and not_modified(asked.fields, stored.fields, stored.status):
        return _without_body(304, b"Not Modified", in_not_modified(stored.fields))
    length = stored.length
    if asked.ranged and stored.status == _OK and length is not None:
        part = part_of(asked.fields, stored.fields, length)
        if isinstance(part, Part):
            head = _head(206, b"Partial Content", [*stored.fields, (b"Content-Range", part.content_range)])
            return Answer(206, head, part.stop - part.start, part.start, part.stop)
        if isinstance(part, Unsatisfiable):
            kept = [field for field in stored.fields if field[0].lower() not in _OF_A_PART]
            kept.append((b"Content-Range", part.content_range))
            return Answer(416, _head(416, b"Range Not Satisfiable", kept), 0, None)
    if stored.status in _WITHOUT_LENGTH:
        return Answer(stored.status, stored.head, None, None)
    if asked.method == "HEAD":
        return Answer(stored.status, stored.head, length, None)
    return Answer(stored.status, stored.head, length, 0, chunked=length is None)


def _without_body(status: int, reason: bytes, fields: Fields) -> Answer:
    return Answer(status, _head(status, reason, fields), None, None)


def _head(status: int, reason: bytes, fields: Fields) -> bytes:
    return b"".join((status_line(status, reason), *(b"\r\n%b: %b" % field for field in fields)))
