"""One stored response: its head made ready, its body, and what it may be used for."""

from __future__ import annotations

from badgateway_proxy.cache.body import Body
from badgateway_proxy.policies.caching.fields import Fields
from badgateway_proxy.policies.caching.freshness import Freshness
from badgateway_proxy.policies.caching.invalidation import Resource
from badgateway_proxy.policies.caching.vary import Selecting

#: What an object costs besides its body and its head's bytes, in bytes: measured by benchmarks, with CPython 3.11.
OVERHEAD = 1500


class Stored:
    """A stored response, or one on its way in: then its body is not complete yet.

    Args:
        resource: whose response it is.
        selecting: what a request must have to get it.
        status: its status code.
        line: its status line, without the line's end.
        fields: what is stored of its header section.
        fresh: what it may be used for.
        body: its body.
        length: the body's length, None while nobody knows.
        tags: what it can be purged by.
    """

    __slots__ = (
        "_found_by", "body", "charged", "fields", "fresh", "head", "length", "line", "refreshing", "resource",
        "selecting", "status", "tags", "until",
    )  # fmt: skip

    def __init__(
        self,
        resource: Resource,
        selecting: Selecting,
        status: int,
        line: bytes,
        fields: Fields,
        fresh: Freshness,
        body: Body,
        length: int | None,
        tags: frozenset[bytes],
    ) -> None:
        self.resource = resource
        self.selecting = selecting
        self.status = status
        self.line = line
        self.body = body
        self.length = length
        self.tags = tags
        self._found_by = (
            sum(map(len, resource)) + sum(map(len, tags)) + sum(len(value or b"") for _, value in selecting)
        )
        #: Bytes that it counts for.
        self.charged = 0
        #: Whether somebody is asking the origin whether it still holds.
        self.refreshing = False
        self.renew(fields, fresh)

    def renew(self, fields: Fields, fresh: Freshness) -> None:
        """Give it other fields and another freshness, after its validation."""
        self.fields = fields
        self.fresh = fresh
        #: Until when it may be served to whoever asks for nothing special, by the policies' clock.
        self.until = -1.0 if fresh.validate_always else fresh.until
        #: Its head as far as it is the same in each answer.
        self.head = b"".join((self.line, *(b"\r\n%b: %b" % field for field in fields)))

    @property
    def cost(self) -> int:
        """Bytes that it takes in memory, as far as it is there."""
        return OVERHEAD + self._found_by + 2 * len(self.head) + self.body.size
