"""Slow start: an endpoint that has just come gets few requests, and more by and by. Pure."""

from __future__ import annotations

from badgateway_proxy.configuration.balancing_settings import SlowStartSettings
from badgateway_proxy.policies.balancer import EndpointState


class SlowStart:
    """What an endpoint's weight is worth while it warms up.

    Envoy's formula: weight x max(min_weight_percent / 100, (time since it came / window) ^ (1 / aggression)); with
    an aggression of 1 it grows linearly. ``window`` is in seconds; 0 is none.
    """

    __slots__ = ("_least", "_power", "window")

    def __init__(self, settings: SlowStartSettings) -> None:
        self.window = settings.window
        self._power = 1 / settings.aggression
        self._least = settings.min_weight_percent / 100

    def weigh(self, endpoint: EndpointState, now: float) -> float:
        """The endpoint's weight at ``now``: more than 0, at most its own weight."""
        age = now - endpoint.since
        if age >= self.window or not self.window:
            return endpoint.weight
        grown: float = (max(age, 0.0) / self.window) ** self._power
        return endpoint.weight * max(self._least, grown)

    def ends(self, endpoint: EndpointState) -> float:
        """When the endpoint has its full weight."""
        return endpoint.since + self.window
