from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.round_robin import RoundRobin, WeightedRoundRobin
from tests.support.endpoints import counts, endpoints, weight_of


def test_takes_turns() -> None:
    one, two, three = endpoints(1, 1, 1)
    balancer = RoundRobin([one, two, three])
    assert [balancer.pick() for _ in range(4)] == [one, two, three, one]


def test_a_retry_goes_elsewhere_and_takes_nobodys_turn() -> None:
    one, two, three = endpoints(1, 1, 1)
    balancer = RoundRobin([one, two, three])
    assert balancer.pick() is one
    assert balancer.pick([one]) is two
    assert balancer.pick() is two
    assert balancer.pick([two]) is three
    assert balancer.pick() is three


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_broken_endpoint_is_tried_only_in_its_turn_and_its_retries_are_spread(count: int, weighted: bool) -> None:
    """With two endpoints, every second request: if retries took turns, it would be first for every one."""
    among = endpoints(*[1] * count)
    balancer = WeightedRoundRobin(among, weight_of) if weighted else RoundRobin(among)
    broken, tries, rescued = among[0], 0, dict.fromkeys(among, 0)
    for _ in range(60 * count):
        if balancer.pick() is broken:
            tries += 1
            rescued[balancer.pick([broken])] += 1
    assert tries == 60
    assert rescued[broken] == 0
    assert max(rescued[each] for each in among[1:]) - min(rescued[each] for each in among[1:]) <= 1


def test_tries_the_same_again_when_there_is_no_other() -> None:
    one, two = endpoints(1, 1)
    assert RoundRobin([one, two]).pick([one, two]) in (one, two)
    assert RoundRobin([one]).pick([one]) is one
    assert WeightedRoundRobin([one], weight_of).pick([one]) is one


def test_whose_turn_it_is_outlasts_a_change_of_endpoints() -> None:
    one, two, three = endpoints(1, 1, 1)
    balancer = RoundRobin([one, two, three])
    balancer.pick()
    balancer.update([one, two])
    assert balancer.pick() is two
    balancer.update([three])
    assert balancer.pick() is three


@given(st.integers(1, 7), st.lists(st.frozensets(st.integers(0, 6)), max_size=50), st.booleans())
def test_never_picks_what_was_tried_while_there_is_another(
    count: int, tried: list[frozenset[int]], weighted: bool
) -> None:
    among = endpoints(*range(1, count + 1))
    balancer = WeightedRoundRobin(among, weight_of) if weighted else RoundRobin(among)
    for indices in tried:
        exclude = [among[index] for index in indices if index < count]
        assert balancer.pick(exclude) not in exclude or len(exclude) == count


@given(st.integers(1, 7))
def test_is_fair(count: int) -> None:
    among = endpoints(*[1] * count)
    assert set(counts(RoundRobin(among), among, 5 * count)) == {5}


def test_spreads_the_turns_of_a_heavy_endpoint() -> None:
    one, two, three = among = endpoints(5, 1, 1)
    balancer = WeightedRoundRobin(among, weight_of)
    # The sequence that nginx's documentation of the algorithm gives for 5, 1, 1.
    assert [balancer.pick() for _ in range(7)] == [one, one, two, one, three, one, one]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_each_has_exactly_its_weight_in_every_round(weights: list[int]) -> None:
    among = endpoints(*weights)
    balancer = WeightedRoundRobin(among, weight_of)
    for _ in range(3):
        assert counts(balancer, among, sum(weights)) == weights


def test_weights_may_change_meanwhile() -> None:
    among = endpoints(1, 1)
    balancer = WeightedRoundRobin(among, lambda each, now: each.weight * (0.25 if each is among[0] and now < 1 else 1))
    early = [balancer.pick(now=0.5) for _ in range(1000)].count(among[0])
    late = [balancer.pick(now=1.5) for _ in range(1000)].count(among[0])
    assert (early, late) == (200, 500)
