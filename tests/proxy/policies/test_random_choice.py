from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.random_choice import RandomChoice
from tests.support.endpoints import counts, endpoints, weight_of


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (4, 2, 1, 1)])
def test_shares_are_the_weights(weights: tuple[int, ...]) -> None:
    among, picks = endpoints(*weights), 200_000
    weigh = None if len(set(weights)) == 1 else weight_of
    found = counts(RandomChoice(among, random.Random(5).random, weigh), among, picks)
    assert [count / picks for count in found] == pytest.approx([w / sum(weights) for w in weights], abs=0.005)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sets(st.integers(0, 5)), st.floats(0, 1, exclude_max=True)
)
def test_goes_elsewhere_with_any_randomness(weights: list[int], tried: set[int], rand: float) -> None:
    among = endpoints(*weights)
    exclude = [among[index] for index in tried if index < len(among)]
    for weigh in (None, weight_of):
        assert RandomChoice(among, lambda: rand, weigh).pick(exclude) not in exclude or len(exclude) == len(among)


def test_picks_only_from_the_last_update() -> None:
    one, two = endpoints(1, 1)
    balancer = RandomChoice([one, two], random.Random(1).random)
    balancer.update([two])
    assert {balancer.pick() for _ in range(20)} == {two}
