"""Adaptive limits before a simulated upstream: so many workers, a queue before them, and time that is only counted."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.upstream_limits import AdaptiveConcurrencySettings
from badgateway_proxy.policies.adaptive_concurrency import AdaptiveLimit, adaptive_limit


def limit(**settings: Any) -> AdaptiveLimit:
    made = adaptive_limit(AdaptiveConcurrencySettings.model_validate(settings))
    assert made is not None
    return made


@dataclass
class Upstream:
    """`workers` serve one request each at a time, `service` seconds long on average; the rest waits for them."""

    workers: int
    service: float = 0.05
    patience: float = 2.0
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    free_at: list[float] = field(default_factory=list)

    def serve(self, now: float) -> float:
        """How long a request that arrives now takes, the queue included."""
        start = now if len(self.free_at) < self.workers else max(now, heapq.heappop(self.free_at))
        end = start + self.service * self.dice.uniform(0.8, 1.2)
        heapq.heappush(self.free_at, end)
        return end - now


def simulate(
    tried: AdaptiveLimit | None, upstream: Upstream, *, rate: float, seconds: float, begin: float = 0.0
) -> dict[str, Any]:
    """Requests at `rate` a second, Poisson; without a limit all of them go to the upstream."""
    dice, now, flying = random.Random(3), begin, list[tuple[float, float, int]]()
    took: list[float] = []
    shed = 0
    while now < begin + seconds:
        now += dice.expovariate(rate)
        while flying and flying[0][0] <= now:
            ended, lasted, in_flight = heapq.heappop(flying)
            took.append(lasted)
            if tried is not None:
                tried.sample(lasted, ended, in_flight=in_flight, dropped=lasted > upstream.patience)
        if tried is not None and len(flying) >= tried.limit:
            shed += 1
            continue
        lasted = upstream.serve(now)
        heapq.heappush(flying, (now + lasted, lasted, len(flying) + 1))
    late = took[len(took) // 2 :]
    return {"served": len(took), "shed": shed, "p50": sorted(late)[len(late) // 2], "last": late[-1]}


@pytest.mark.parametrize("algorithm", ["gradient", "aimd"])
def test_overload_is_shed_and_what_is_served_stays_fast(algorithm: str) -> None:
    """Ten workers serve 200 a second; 400 come. Without a limit the queue, and so the wait, grows for ever."""
    unlimited = simulate(None, Upstream(10), rate=400, seconds=30)
    assert unlimited["last"] > 5
    tried = limit(algorithm=algorithm, latency="200ms", initial_limit=20)
    limited = simulate(tried, Upstream(10), rate=400, seconds=30)
    assert limited["p50"] < 0.25
    assert limited["served"] > 0.8 * 200 * 30, "and the upstream has its hands full all the same"
    assert 10 <= tried.limit <= 60


@pytest.mark.parametrize("algorithm", ["gradient", "aimd"])
def test_without_overload_nothing_is_shed_once_it_has_settled(algorithm: str) -> None:
    tried = limit(algorithm=algorithm, latency="200ms", initial_limit=20)
    simulate(tried, Upstream(10), rate=100, seconds=5)
    done = simulate(tried, Upstream(10), rate=100, seconds=30, begin=5)
    assert done["shed"] < 0.002 * done["served"]


@pytest.mark.parametrize("algorithm", ["gradient", "aimd"])
def test_it_recovers_when_the_upstream_does(algorithm: str) -> None:
    tried = limit(algorithm=algorithm, latency="200ms", initial_limit=20)
    simulate(tried, Upstream(2), rate=400, seconds=10)
    narrow = tried.limit
    assert narrow <= 20
    simulate(tried, Upstream(40), rate=400, seconds=10, begin=10)
    assert tried.limit > narrow
    done = simulate(tried, Upstream(40), rate=400, seconds=10, begin=20)
    assert done["shed"] < 0.02 * done["served"]


@given(
    algorithm=st.sampled_from(["gradient", "aimd"]),
    samples=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 500), st.booleans()), max_size=300),
)
def test_it_stays_within_its_bounds(algorithm: str, samples: list[tuple[float, int, bool]]) -> None:
    tried = limit(algorithm=algorithm, min_limit=4, initial_limit=10, max_limit=30)
    now = 0.0
    for took, in_flight, dropped in samples:
        now += took / 10
        tried.sample(took, now, in_flight=in_flight, dropped=dropped)
        assert 4 <= tried.limit <= 30


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    tried = limit(algorithm="aimd", initial_limit=20)
    for _ in range(100):
        tried.sample(0.01, 1.0, in_flight=2, dropped=False)
    assert tried.limit == 20


def test_gradient_measures_first_while_few_are_under_way_and_again_now_and_then() -> None:
    tried = limit(algorithm="gradient", min_limit=4, initial_limit=10, min_rtt_requests=5, min_rtt_interval="10s")
    for _ in range(5):
        assert tried.limit == 4
        tried.sample(0.1, 1.0, in_flight=4, dropped=False)
    assert tried.limit == 10
    tried.sample(0.1, 1.2, in_flight=10, dropped=False)
    assert tried.limit == 16, "10 * 1.25, and the root of that"
    tried.sample(0.5, 1.4, in_flight=16, dropped=False)
    assert tried.limit == 10, "16 halved, and the root of that"
    tried.sample(0.1, 11.0, in_flight=4, dropped=False)
    assert tried.limit == 4, "it measures again"
    for _ in range(9):
        tried.sample(0.9, 11.1, in_flight=10, dropped=False)
    assert tried.limit == 4, "and what was sent before that does not count"


def test_a_failure_takes_off_a_share() -> None:
    tried = limit(algorithm="aimd", initial_limit=100, backoff_ratio=0.5)
    tried.sample(0.01, 1.0, in_flight=100, dropped=True)
    assert tried.limit == 50
    tried.sample(9.0, 1.0, in_flight=50, dropped=False)
    assert tried.limit == 25, "so does a request that takes too long"


def test_off_is_none() -> None:
    assert adaptive_limit(AdaptiveConcurrencySettings()) is None
