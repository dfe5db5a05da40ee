"""What a policy's decision costs: each is asked many times in a tight loop, in this process, with nothing around it."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count, repeat
from os import sched_getaffinity, sched_setaffinity
from typing import Any

from badgateway_proxy.configuration.admission import (
    BandwidthCapSettings,
    CaptivePortalSettings,
    ClientRateLimitSettings,
    TokenBucketSettings,
)
from badgateway_proxy.configuration.config import load_config
from badgateway_proxy.configuration.settings import BreakerSettings, RetryBudgetSettings, RetrySettings
from badgateway_proxy.configuration.upstream_limits import AdaptiveConcurrencySettings, UpstreamLimitSettings
from badgateway_proxy.error_types import ErrorType
from badgateway_proxy.errors import Phase
from badgateway_proxy.policies.adaptive_concurrency import adaptive_limit
from badgateway_proxy.policies.affinity import Affinity
from badgateway_proxy.policies.balancer import EndpointState
from badgateway_proxy.policies.bandwidth_cap import BandwidthCap
from badgateway_proxy.policies.breaker import Breaker, Outcome
from badgateway_proxy.policies.captive_portal import Sessions
from badgateway_proxy.policies.endpoint_set import EndpointSet
from badgateway_proxy.policies.retry import RetryPolicy
from badgateway_proxy.policies.retry_budget import RetryBudget
from badgateway_proxy.policies.token_bucket import ClientBuckets, TokenBucket
from badgateway_proxy.policies.upstream_limits import UpstreamLimits
from benchmarks import machine
from benchmarks.figures import Effort, Figure, Row, spread

NAME = "policies"
TITLE = "What a decision costs"
ENDPOINTS = 10
_DECISIONS = 10_000  # some milliseconds

Decision = Callable[[], object]


def measure(effort: Effort) -> Figure:
    """Each decision in turn, in rounds, so that what else happens on the machine falls on all alike."""
    before = sched_getaffinity(0)
    sched_setaffinity(0, {machine.cores()[0]})
    try:
        decisions = {**_balancing(), **_beside(), **_limits()}
        readings: dict[str, list[float]] = {name: [] for name in decisions}
        for _ in range(effort.rounds):
            for name, decision in decisions.items():
                readings[name].append(nanoseconds(decision))
    finally:
        with suppress(OSError):
            sched_setaffinity(0, before)
    rows = [Row(name, f"{statistics.median(found):,.0f} ns") for name, found in readings.items()]
    how = (
        f"Median of {effort.rounds} rounds of {_DECISIONS:,} decisions among {ENDPOINTS} endpoints, the loop and "
        "one call included, in time of a core. The throughput figure has what a whole exchange takes."
    )
    return Figure(NAME, TITLE, how, rows, {name: spread(found) for name, found in readings.items()})


def nanoseconds(decision: Decision, decisions: int = _DECISIONS) -> float:
    """How much time of a core one decision takes, on average over so many; waiting for the core is none of it."""
    begun = time.process_time_ns()
    for _ in repeat(None, decisions):
        decision()
    return (time.process_time_ns() - begun) / decisions


def endpoint_set(**settings: Any) -> EndpointSet:
    """Ten endpoints under these settings."""
    upstreams = [f"127.0.0.1:{9001 + number}" for number in range(ENDPOINTS)]
    config = load_config({"upstreams": upstreams, **settings})
    return EndpointSet(config, random.Random(1).random, lambda *_: None, 0.0)


def _balancing() -> dict[str, Decision]:
    heavy = {"127.0.0.1:9001": 3}
    least = {"policy": "least_request"}
    settings: dict[str, dict[str, Any]] = {
        "round robin": {},
        "round robin by weight": {"balancing": {"weights": heavy}},
        "random": {"balancing": {"policy": "random"}},
        "least requests, of all": {"balancing": {**least, "selection": "full_scan"}},
        "least requests, of two by lot": {"balancing": least},
        "consistent hash (Maglev)": {"balancing": {"policy": "maglev"}},
        "round robin, with outlier ejection": {"outlier": {"enabled": True}},
    }
    found: dict[str, Decision] = {}
    for name, section in settings.items():
        endpoints = endpoint_set(**section)
        found[name] = _picking(endpoints)
    return found


def _picking(endpoints: EndpointSet) -> Decision:
    pick, nobody, key = endpoints.pick, (), b"198.51.100.7"
    return lambda: pick(nobody, 0.0, key)


def _beside() -> dict[str, Decision]:
    watched = endpoint_set(outlier={"enabled": True})
    report, member = watched.report, _first(watched)
    address = member.endpoint.text
    sticky = Affinity(load_config({"upstreams": ["127.0.0.1:9001"], "balancing": {"sticky_cookie": "lb"}}).balancing)
    cookie = [(b"Cookie", sticky.cookie_for(member, []).split(b"Set-Cookie: ")[1].partition(b";")[0])]
    breaker, retry = Breaker(BreakerSettings()), RetryPolicy(RetrySettings(attempts=2))
    budget = RetryBudget(RetryBudgetSettings(enabled=True))

    def call() -> None:
        permit = breaker.try_acquire(0.0)
        assert permit is not None
        breaker.report(permit, Outcome.SUCCESS, 0.001, 0.0)

    def again() -> object:
        return retry.decide(
            attempt=1, method="GET", error=ErrorType.CONNECTION_REFUSED, status=None, phase=Phase.CONNECT,
            request_replayable=True, head_sent=False, retry_after=None, rand=0.5,
        )  # fmt: skip

    def lease() -> None:
        if budget.try_acquire(100):
            budget.release()

    return {
        "outlier ejection: one outcome": lambda: report(address, None, 200, 0.0),
        "sticky session: whose cookie it is": lambda: sticky.home_of(cookie, watched.available),
        "breaker: permit and report": call,
        "retry: whether and when": again,
        "retry budget: take and give back": lease,
    }


def _limits() -> dict[str, Decision]:
    rate = {"max_tokens": 1000, "tokens_per_fill": 1000}
    server = TokenBucket(TokenBucketSettings.model_validate(rate), 0.0)
    clients = ClientBuckets(ClientRateLimitSettings.model_validate(rate))
    cap = BandwidthCap(BandwidthCapSettings(bytes=10**9), 0.0)
    sessions = Sessions(CaptivePortalSettings(enabled=True))
    sessions.log_in(b"198.51.100.7", 0.0)
    limits = UpstreamLimits(UpstreamLimitSettings(max_requests=10, max_pending_requests=10))
    gradient = adaptive_limit(AdaptiveConcurrencySettings(algorithm="gradient"))
    assert gradient is not None
    moments = count()

    def cap_one() -> None:
        cap.count(1000, 0.0)
        cap.is_used_up(0.0)

    def pass_through() -> None:
        limits.arrive()
        limits.leave()

    return {
        "rate limit of the server": lambda: server.take(next(moments) / 1e6),
        "rate limit of a client": lambda: clients.take(b"198.51.100.7", next(moments) / 1e6),
        "bandwidth cap: count, and ask": cap_one,
        "captive portal: is it logged in": lambda: sessions.is_logged_in(b"198.51.100.7", 0.0),
        "upstream limits: arrive and leave": pass_through,
        "adaptive concurrency (gradient): one sample": lambda: gradient.sample(
            0.01, next(moments) / 1e3, in_flight=5, dropped=False
        ),
    }


def _first(endpoints: EndpointSet) -> EndpointState:
    return endpoints.available[0]
