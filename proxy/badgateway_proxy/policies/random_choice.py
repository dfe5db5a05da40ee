"""Any endpoint, by lot. Pure: randomness is a parameter."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from badgateway_proxy.policies.balancer import EndpointState, Rand, Weigh, untried


class RandomChoice:
    """Each endpoint with the probability that its weight says; with ``weigh`` None, all with the same."""

    __slots__ = ("_endpoints", "_rand", "_weigh")

    def __init__(self, endpoints: Sequence[EndpointState], rand: Rand, weigh: Weigh | None = None) -> None:
        self._rand = rand
        self._weigh = weigh
        self.update(endpoints)

    def update(self, endpoints: Sequence[EndpointState]) -> None:
        """See `Balancer`."""
        self._endpoints: Sequence[EndpointState] = tuple(endpoints)

    def pick(self, tried: Collection[EndpointState] = (), now: float = 0.0, key: bytes | None = None) -> EndpointState:
        """See `Balancer`."""
        among = untried(self._endpoints, tried) if tried else self._endpoints
        weigh = self._weigh
        if weigh is None:
            return among[int(self._rand() * len(among))]
        weights = [weigh(each, now) for each in among]
        point = self._rand() * sum(weights)
        for each, weight in zip(among, weights, strict=True):
            point -= weight
            if point < 0:
                return each
        return among[-1]  # the sum was rounded
