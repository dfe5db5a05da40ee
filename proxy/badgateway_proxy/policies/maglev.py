"""Consistent hashing by Maglev: what belongs together goes to the same endpoint, and stays there. Pure.

Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016), section 3.4, with weights
as in Envoy (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b

from badgateway_proxy.policies.balancer import EndpointState, Rand, untried


def hash_of(key: bytes, salt: bytes = b"") -> int:
    """64 bits of BLAKE2b: the same in every process, unlike Python's own hash."""
    return int.from_bytes(blake2b(key, digest_size=8, salt=salt).digest())


class Maglev:
    """A table of slots, most of which stay with their endpoint when others come or go.

    An endpoint's share of the slots is its share of the weights, to within about 1 % where the table has a
    hundred slots for each endpoint. A request without a key goes to any endpoint; a retry goes on through the table
    from the key's slot, so that it, too, is the same for the same key.

    Args:
        endpoints: to choose from.
        rand: for requests without a key.
        slots: size of the table, a prime: with any other, an endpoint's walk would not reach every slot.
    """

    __slots__ = ("_endpoints", "_rand", "_table")

    def __init__(self, endpoints: Sequence[EndpointState], rand: Rand, slots: int) -> None:
        self._rand = rand
        self._table: list[EndpointState] = [endpoints[0]] * slots
        self.update(endpoints)

    def update(self, endpoints: Sequence[EndpointState]) -> None:
        """See `Balancer`. Fills the table anew, which takes about a microsecond a slot."""
        self._endpoints: Sequence[EndpointState] = tuple(dict.fromkeys(endpoints))
        self._table = _filled(self._endpoints, len(self._table))

    def pick(self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None) -> EndpointState:
        """See `Balancer`."""
        if key is None:
            among = untried(self._endpoints, tried) if tried else self._endpoints
            return among[int(self._rand() * len(among))]
        table = self._table
        slot = hash_of(key) % len(table)
        found = table[slot]
        if tried and found in tried:
            left = frozenset(untried(self._endpoints, tried))
            # In a table without a slot of theirs, more endpoints than slots, they are as good as tried.
            return next((each for each in (*table[slot:], *table[:slot]) if each in left), found)
        return found

    def shares(self) -> dict[EndpointState, float]:
        """Which share of the slots each endpoint has."""
        return {each: self._table.count(each) / len(self._table) for each in self._endpoints}


def _filled(endpoints: Sequence[EndpointState], slots: int) -> list[EndpointState]:
    """Every endpoint in turn takes the next free slot of its own walk through the table, until none is free.

    In a turn only those take a slot whose weight has come up: with weights of 3 and 1, one of them in every third.
    """
    heaviest = max(each.weight for each in endpoints)
    walks = []
    for each in endpoints:
        name = each.endpoint.text.encode()
        walks.append([hash_of(name, b"offset") % slots, hash_of(name, b"skip") % (slots - 1) + 1, 0])
    table: list[EndpointState | None] = [None] * slots
    taken, turn = 0, 0
    while True:
        turn += 1
        for each, walk in zip(endpoints, walks, strict=True):
            position, skip, claimed = walk
            if turn * each.weight < (claimed + 1) * heaviest:
                continue
            while table[position] is not None:
                position = (position + skip) % slots
            table[position] = each
            walk[0], walk[2] = (position + skip) % slots, claimed + 1
            taken += 1
            if taken == slots:
                return [each for each in table if each is not None]
