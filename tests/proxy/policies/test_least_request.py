from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.balancer import Balancer, EndpointState
from badgateway_proxy.policies.least_request import FewChoices, LeastRequest
from badgateway_proxy.policies.random_choice import RandomChoice
from badgateway_proxy.policies.round_robin import RoundRobin
from tests.support.endpoints import endpoints, weight_of


def busy(*active: int) -> list[EndpointState]:
    among = endpoints(*[1] * len(active))
    for each, count in zip(among, active, strict=True):
        each.active = count
    return among


def test_takes_the_least_busy() -> None:
    one, two, three = busy(2, 0, 1)
    balancer = LeastRequest([one, two, three])
    assert balancer.pick() is two
    assert balancer.pick([two]) is three
    assert balancer.pick([one, two, three]) is two


def test_equals_take_turns() -> None:
    among = busy(3, 1, 1, 1)
    balancer = LeastRequest(among)
    picked = [balancer.pick() for _ in range(30)]
    assert [picked.count(each) for each in among] == [0, 10, 10, 10]


def test_a_heavy_endpoint_may_have_more_to_do() -> None:
    light, heavy = endpoints(1, 3)
    light.active, heavy.active = 1, 4
    assert LeastRequest([light, heavy], weight_of).pick() is heavy
    assert LeastRequest([light, heavy]).pick() is light
    assert FewChoices([light, heavy], random.Random(1).random, 2, weight_of).pick() is heavy


@pytest.mark.parametrize("choices", [2, 3, 4, 9])
def test_draws_different_ones_and_takes_the_idlest_drawn(choices: int) -> None:
    among = busy(9, 8, 7, 6)
    balancer = FewChoices(among, random.Random(2).random, choices)
    picked = [balancer.pick() for _ in range(4000)]
    # Of n the k-th busiest is taken if those drawn with it are all busier; the busiest ones never, then.
    assert [picked.count(each) == 0 for each in among] == [rank < min(choices, 4) - 1 for rank in range(4)]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.sets(st.integers(0, 5)),
    st.integers(2, 7),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=9),
)
def test_goes_elsewhere_with_any_randomness(
    active: list[int], tried: set[int], choices: int, rands: list[float]
) -> None:
    among = busy(*active)
    exclude = [among[index] for index in tried if index < len(among)]
    values = deque(rands)

    def rand() -> float:
        values.rotate(1)
        return values[0]

    for balancer in (LeastRequest(among), FewChoices(among, rand, choices)):
        assert balancer.pick(exclude) not in exclude or len(exclude) == len(among)


def longest_queues(make: Callable[[list[EndpointState]], Balancer], steps: int) -> list[int]:
    """The busiest endpoint's active requests now and then, at 80 % load; one of ten serves a fifth of what others do.

    A simulation in steps: a request arrives in four of five, and in turn an endpoint ends one.
    """
    among = busy(*[0] * 10)
    balancer = make(among)
    pick, longest = balancer.pick, []
    slow = among[0]
    for number in range(steps):
        if number % 5:
            pick().active += 1
        done = among[number % 10]
        if done.active and (done is not slow or number % 50 == 0):
            done.active -= 1
        if number % 1000 == 999:
            longest.append(max(each.active for each in among))
    return longest


def test_a_slow_endpoint_piles_up_with_turns_and_lots_but_not_where_one_looks() -> None:
    """A quarter of a million steps each. What a request waits for is the queue of its endpoint."""
    dice = random.Random(3).random
    turns = longest_queues(RoundRobin, 250_000)
    lots = longest_queues(lambda among: RandomChoice(among, dice), 250_000)
    two = longest_queues(lambda among: FewChoices(among, dice, 2), 250_000)
    least = longest_queues(LeastRequest, 250_000)
    assert min(turns[-1], lots[-1]) > 14_000
    assert max(two) < 20
    assert max(least) < 5


def test_two_choices_are_exponentially_better_than_one() -> None:
    """Balls into bins: n of each; one choice leaves about ln n / ln ln n in the fullest, two about ln ln n."""
    dice = random.Random(4).random
    fullest = {}
    for name, make in (("one", RandomChoice), ("two", lambda among, rand: FewChoices(among, rand, 2))):
        among = busy(*[0] * 10_000)
        pick = make(among, dice).pick
        for _ in range(len(among)):
            pick().active += 1
        fullest[name] = max(each.active for each in among)
    assert fullest["one"] >= 6
    assert fullest["two"] <= 4
