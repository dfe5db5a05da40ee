from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.balancing_settings import SlowStartSettings
from badgateway_proxy.policies.balancer import EndpointState, parse_endpoint
from badgateway_proxy.policies.round_robin import WeightedRoundRobin
from badgateway_proxy.policies.slow_start import SlowStart


def slow_start(**changes: object) -> SlowStart:
    return SlowStart(SlowStartSettings.model_validate({"window": "10s"} | changes))


def endpoint(since: float = 0.0, weight: int = 1) -> EndpointState:
    return EndpointState(parse_endpoint("127.0.0.1:9001"), since, weight)


@pytest.mark.parametrize(
    ("aggression", "age", "share"),
    [
        (1.0, 0.0, 0.1),
        (1.0, 0.5, 0.1),
        (1.0, 5.0, 0.5),
        (1.0, 10.0, 1.0),
        (1.0, 99.0, 1.0),
        (2.0, 2.5, 0.5),
        (0.5, 5.0, 0.25),
    ],
)
def test_the_share_grows(aggression: float, age: float, share: float) -> None:
    tried = slow_start(aggression=aggression)
    assert tried.weigh(endpoint(since=100.0), 100.0 + age) == pytest.approx(share)
    assert tried.weigh(endpoint(since=100.0, weight=4), 100.0 + age) == pytest.approx(4 * share)


def test_says_when_it_ends() -> None:
    assert slow_start().ends(endpoint(since=7.0)) == 17.0


def test_is_off_by_default() -> None:
    off = SlowStart(SlowStartSettings())
    assert off.weigh(endpoint(), 0.0) == 1
    assert off.weigh(endpoint(since=5.0), 4.9) == 1  # an exchange's time is from when it began


@given(st.floats(-5, 50), st.floats(-5, 50), st.floats(0.1, 10), st.integers(1, 9))
def test_only_grows_and_stays_within_bounds(one: float, other: float, aggression: float, weight: int) -> None:
    tried, each = slow_start(aggression=aggression), endpoint(weight=weight)
    less, more = sorted((one, other))
    assert 0 < tried.weigh(each, less) <= tried.weigh(each, more) <= weight


def test_a_newcomer_gets_a_growing_share_of_the_requests() -> None:
    old, new = endpoint(since=-100.0), endpoint(since=0.0)
    balancer = WeightedRoundRobin([old, new], slow_start().weigh)
    shares = []
    for second in range(12):
        picked = [balancer.pick(now=second + step / 1000) for step in range(1000)]
        shares.append(picked.count(new) / 1000)
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[5] == pytest.approx(0.55 / 1.55, abs=0.01)
    assert shares[-1] == 0.5
