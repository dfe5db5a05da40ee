"""Endpoints in turn: plain, or each as often as its weight says. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from badgateway_proxy.policies.balancer import EndpointState, Weigh


class RoundRobin:
    """Endpoints in turn, in constant time.

    Retries take turns among themselves. If they took those of first attempts, a broken endpoint would often be
    first again for the next request, the good one having had its turn.
    """

    __slots__ = ("_again", "_endpoints", "_next")

    def __init__(self, endpoints: Sequence[EndpointState]) -> None:
        self._next = self._again = 0
        self.update(endpoints)

    def update(self, endpoints: Sequence[EndpointState]) -> None:
        """See `Balancer`."""
        self._endpoints = tuple(endpoints)
        self._next %= len(self._endpoints)
        self._again %= len(self._endpoints)

    def pick(self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None) -> EndpointState:
        """See `Balancer`."""
        endpoints = self._endpoints
        if tried:
            return self._pick_again(tried)
        index = self._next
        following = index + 1
        self._next = following if following < len(endpoints) else 0
        return endpoints[index]

    def _pick_again(self, tried: Collection[EndpointState]) -> EndpointState:
        endpoints = self._endpoints
        count = len(endpoints)
        start = self._again
        for offset in range(count):
            candidate = (start + offset) % count
            if endpoints[candidate] not in tried:
                start = candidate
                break
        self._again = (start + 1) % count
        return endpoints[start]


class WeightedRoundRobin:
    """Endpoints in turn, each as often as its weight says, and spread out: a, a, b, a for weights of 3 and 1.

    nginx's smooth weighted round robin: every endpoint gains its weight, the one that has most is taken and pays
    the sum of all. Linear in the number of endpoints, and weights may change from one pick to the next.
    """

    __slots__ = ("_endpoints", "_gained", "_gained_again", "_weigh")

    def __init__(self, endpoints: Sequence[EndpointState], weigh: Weigh) -> None:
        self._weigh = weigh
        self._gained: dict[EndpointState, float] = {}
        self._gained_again: dict[EndpointState, float] = {}
        self.update(endpoints)

    def update(self, endpoints: Sequence[EndpointState]) -> None:
        """See `Balancer`."""
        self._endpoints = tuple(endpoints)
        self._gained = {each: self._gained.get(each, 0.0) for each in endpoints}
        self._gained_again = dict.fromkeys(endpoints, 0.0)

    def pick(self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None) -> EndpointState:
        """See `Balancer`."""
        # As in plain round robin, retries take turns among themselves.
        gained = self._gained_again if tried else self._gained
        weigh = self._weigh
        best: EndpointState | None = None
        most = total = 0.0
        for each in self._endpoints:
            weight = weigh(each, now)
            total += weight
            mine = gained[each] = gained[each] + weight
            if (best is None or mine > most) and each not in tried:
                best, most = each, mine
        if best is None:
            best = max(self._endpoints, key=gained.__getitem__)
        gained[best] -= total
        return best
