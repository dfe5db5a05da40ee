"""What is stored, by resource and by tag, within bounds: the least recently used goes first. No I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.policies.caching.invalidation import Resource

#: Stored responses of one resource (one for each combination of what it varies by); the oldest makes room.
MOST_VARIANTS = 32


class Store:
    """Stored responses.

    Args:
        memory: bytes of all of them together.
        objects: number of them.
    """

    def __init__(self, memory: int, objects: int) -> None:
        self._memory = memory
        self._objects = objects
        self._by_resource: dict[Resource, list[Stored]] = {}
        self._by_tag: dict[bytes, set[Stored]] = {}
        #: The least recently used first.
        self._used: OrderedDict[Stored, None] = OrderedDict()
        #: Bytes of all together.
        self.bytes = 0
        #: How many went to make room.
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._used)

    def variants(self, resource: Resource) -> Sequence[Stored]:
        """Its stored responses, the newest last."""
        return self._by_resource.get(resource, ())

    def use(self, stored: Stored) -> None:
        """Note that it was used just now, if it is still there."""
        if stored.charged:
            self._used.move_to_end(stored)

    def add(self, stored: Stored) -> None:
        """Store a response, in place of the one that the same requests got before."""
        variants = self._by_resource.setdefault(stored.resource, [])
        for old in [each for each in variants if each.selecting == stored.selecting] or variants[: 1 - MOST_VARIANTS]:
            self.remove(old)
        self._by_resource.setdefault(stored.resource, variants).append(stored)
        for tag in stored.tags:
            self._by_tag.setdefault(tag, set()).add(stored)
        self._used[stored] = None
        self.charge(stored)

    def charge(self, stored: Stored) -> bool:
        """Count what it has grown by, and make room for it. Returns whether it is still there itself."""
        if stored not in self._used:
            return False
        cost = stored.cost
        self.bytes += cost - stored.charged
        stored.charged = cost
        self._make_room()
        return stored in self._used

    def _make_room(self) -> None:
        while self._used and (self.bytes > self._memory or len(self._used) > self._objects):
            self.remove(next(iter(self._used)))
            self.evicted += 1

    def remove(self, stored: Stored) -> None:
        """Forget it; whoever reads it may read on."""
        if stored not in self._used:
            return
        del self._used[stored]
        self.bytes -= stored.charged
        stored.charged = 0
        variants = self._by_resource[stored.resource]
        variants.remove(stored)
        if not variants:
            del self._by_resource[stored.resource]
        for tag in stored.tags:
            tagged = self._by_tag[tag]
            tagged.discard(stored)
            if not tagged:
                del self._by_tag[tag]
        if not stored.body.complete:
            stored.body.let_go()

    # -- purging ---------------------------------------------------------------------------------------

    def purge_resource(self, resource: Resource) -> int:
        """Forget a resource's responses; returns how many there were."""
        return self._forget(self.variants(resource))

    def purge_target(self, target: str) -> int:
        """Forget the responses of a path and query, whatever the host; returns how many there were."""
        return self._forget([stored for stored in self._used if stored.resource[1] == target])

    def purge_tag(self, tag: bytes) -> int:
        """Forget all responses that bear a tag; returns how many there were."""
        return self._forget(self._by_tag.get(tag, ()))

    def clear(self) -> int:
        """Forget everything; returns how much there was."""
        return self._forget(self._used)

    def _forget(self, found: Iterable[Stored]) -> int:
        gone = list(found)
        for stored in gone:
            self.remove(stored)
        return len(gone)

    def resize(self, memory: int, objects: int) -> None:
        """Hold other bounds from now on."""
        self._memory, self._objects = memory, objects
        self._make_room()
