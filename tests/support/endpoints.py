"""Endpoints for the tests of policies, and what many picks came to."""

from __future__ import annotations

from collections import Counter

from badgateway_proxy.policies.balancer import Balancer, EndpointState, parse_endpoint


def endpoints(*weights: int) -> list[EndpointState]:
    """One endpoint for each weight: 127.0.0.1:9001, 9002, …"""
    return [EndpointState(parse_endpoint(f"127.0.0.1:{9001 + n}"), weight=weight) for n, weight in enumerate(weights)]


def weight_of(endpoint: EndpointState, now: float) -> float:
    """The weight itself, whatever the time."""
    return endpoint.weight


def counts(balancer: Balancer, among: list[EndpointState], picks: int) -> list[int]:
    """How often each was picked for a first attempt."""
    pick = balancer.pick
    counter = Counter(pick() for _ in range(picks))
    return [counter[each] for each in among]
