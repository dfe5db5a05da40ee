from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.settings import RetryBudgetSettings
from badgateway_proxy.policies.retry_budget import RetryBudget


def budget(percent: float = 20.0, least: int = 3) -> RetryBudget:
    return RetryBudget(RetryBudgetSettings(enabled=True, percent=percent, min_concurrency=least))


@pytest.mark.parametrize(
    ("percent", "least", "requests", "granted"),
    [
        (20, 3, 1, 3),
        (20, 3, 15, 3),
        (20, 3, 16, 3),
        (20, 3, 20, 4),
        (20, 0, 4, 0),
        (20, 3, 100, 20),
        (0, 0, 100, 0),
        (100, 0, 7, 7),
        (25, 0, 10, 2),
    ],
)
def test_grants_a_share_of_the_requests_and_always_a_few(
    percent: float, least: int, requests: int, granted: int
) -> None:
    tried = budget(percent, least)
    assert sum(tried.try_acquire(requests) for _ in range(200)) == granted
    assert (tried.active, tried.refused) == (granted, 200 - granted)


def test_what_is_given_back_can_be_had_again() -> None:
    tried = budget(least=1)
    assert tried.try_acquire(1)
    assert not tried.try_acquire(1)
    tried.release()
    assert tried.try_acquire(1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=200), st.integers(0, 100), st.integers(0, 9))
def test_is_never_overdrawn(story: list[tuple[bool, int]], percent: float, least: int) -> None:
    tried = budget(percent, least)
    for ends, requests in story:
        if ends and tried.active:
            tried.release()
        elif tried.try_acquire(requests):
            assert tried.active <= max(least, percent * requests / 100)


def amplification(attempts: int, tried: RetryBudget | None, requests: int, failing: float) -> float:
    """Attempts for each request in a simulation: ten requests arrive in each step, an attempt takes three of them."""
    dice, made, in_flight = random.Random(6).random, 0, 0
    ends: deque[list[tuple[int, bool]]] = deque([[], [], []])  # (attempts made, whether it has leave for a retry)
    for _ in range(requests // 10):
        beginning = [(1, False)] * 10
        in_flight += 10
        for number, leave in ends.popleft():
            if leave and tried is not None:
                tried.release()
            again = dice() < failing and number < attempts and (tried is None or tried.try_acquire(in_flight))
            if again:
                beginning.append((number + 1, True))
            else:
                in_flight -= 1
        made += len(beginning)
        ends.append(beginning)
    return made / requests


def test_over_a_million_requests_it_bounds_what_an_outage_multiplies() -> None:
    """Everything fails: four attempts are four times the load. With a budget of 20 % they are at most 1.25 times."""
    assert amplification(4, None, 1_000_000, failing=1.0) == pytest.approx(4.0, abs=0.01)
    assert amplification(4, budget(20, 0), 1_000_000, failing=1.0) <= 1 / (1 - 0.20)
    # While little fails, it is not in the way.
    little = amplification(4, budget(20, 0), 1_000_000, failing=0.05)
    assert little == pytest.approx(amplification(4, None, 1_000_000, failing=0.05), abs=0.01)
