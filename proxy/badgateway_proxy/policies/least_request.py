"""The endpoint that has least to do: of all, or of a few drawn by lot. Pure: randomness is a parameter.

Of two drawn by lot is the "power of two choices" (Mitzenmacher 2001): nearly as even as looking at all, but without
every hop sending to the same one, the idlest, at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from badgateway_proxy.policies.balancer import EndpointState, Rand, Weigh, untried


class LeastRequest:
    """The endpoint with the fewest active requests for its weight: HAProxy's ``leastconn``, Envoy's ``FULL_SCAN``.

    Equals take turns. Linear in the number of endpoints.
    """

    __slots__ = ("_endpoints", "_turn", "_weigh")

    def __init__(self, endpoints: Sequence[EndpointState], weigh: Weigh | None = None) -> None:
        self._weigh = weigh
        self._turn = 0
        self.update(endpoints)

    def update(self, endpoints: Sequence[EndpointState]) -> None:
        """See `Balancer`."""
        self._endpoints: Sequence[EndpointState] = tuple(endpoints)

    def pick(self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None) -> EndpointState:
        """See `Balancer`."""
        among = untried(self._endpoints, tried) if tried else self._endpoints
        count = len(among)
        start = self._turn % count
        best = _least((*among[start:], *among[:start]), self._weigh, now)
        # Behind the one that is taken, so that of equals the next has its turn.
        self._turn = (among.index(best) + 1) % count
        return best


class FewChoices:
    """The least busy of ``choices`` different endpoints drawn by lot: Envoy's ``LEAST_REQUEST`` (there, the same
    endpoint may be drawn twice). Two is the power of two choices.
    """

    __slots__ = ("_choices", "_endpoints", "_rand", "_weigh")

    def __init__(
        self, endpoints: Sequence[EndpointState], rand: Rand, choices: int, weigh: Weigh | None = None
    ) -> None:
        self._rand = rand
        self._choices = choices
        self._weigh = weigh
        self.update(endpoints)

    def update(self, endpoints: Sequence[EndpointState]) -> None:
        """See `Balancer`."""
        self._endpoints: Sequence[EndpointState] = tuple(endpoints)

    def pick(self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None) -> EndpointState:
        """See `Balancer`."""
        among = untried(self._endpoints, tried) if tried else self._endpoints
        count, rand = len(among), self._rand
        if count == 1:
            return among[0]
        if self._choices == 2:
            first = int(rand() * count)
            second = int(rand() * (count - 1))
            pair = among[first], among[second + (second >= first)]
            if self._weigh is None:
                return pair[0] if pair[0].active <= pair[1].active else pair[1]
            return _least(pair, self._weigh, now)
        return _least(self._drawn(among), self._weigh, now)

    def _drawn(self, among: Sequence[EndpointState]) -> Sequence[EndpointState]:
        """``choices`` of them by lot, in the order in which they were drawn."""
        left, rand = list(among), self._rand
        return [left.pop(int(rand() * len(left))) for _ in range(min(self._choices, len(left)))]


def _least(endpoints: Sequence[EndpointState], weigh: Weigh | None, now: float) -> EndpointState:
    """The first of those with the fewest active requests, this one counted in, for their weight."""
    best, least = endpoints[0], float("inf")
    for each in endpoints:
        load = each.active + 1 if weigh is None else (each.active + 1) / weigh(each, now)
        if load < least:
            best, least = each, load
    return best
