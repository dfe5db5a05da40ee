"""Histograms count each duration once, in the first bucket that it fits into, under bounded labels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.histograms import BOUNDS, MOST, Durations


@given(st.lists(st.floats(0, 100, allow_nan=False), max_size=50))
def test_buckets_hold_what_took_no_longer(durations: list[float]) -> None:
    seen: Durations[str] = Durations()
    for each in durations:
        seen.add("a", each)
    for histogram in seen.by_labels.values():
        assert histogram.count == len(durations)
        assert math.isclose(histogram.total, math.fsum(durations), abs_tol=1e-9)
        for bound, number in histogram.cumulative():
            assert number == sum(each <= float(bound) for each in durations)


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_bound_belongs_to_its_bucket(bound: float) -> None:
    seen: Durations[str] = Durations()
    seen.add("a", bound)
    assert dict(seen.by_labels["a"].cumulative())[str(bound)] == 1


def test_labels_beyond_the_cap_are_counted_together() -> None:
    seen: Durations[int] = Durations()
    for number in range(MOST + 5):
        seen.add(number, 1.0)
        seen.add(number, 1.0)
    assert len(seen.by_labels) == MOST + 1
    assert seen.by_labels[None].count == 10
    assert seen.by_labels[0].count == 2
