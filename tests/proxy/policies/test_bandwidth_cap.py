from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.admission import BandwidthCapSettings
from badgateway_proxy.policies.bandwidth_cap import BandwidthCap


def cap(size: int = 1000, period: str = "1h", began: float = 0.0) -> BandwidthCap:
    return BandwidthCap(BandwidthCapSettings.model_validate({"bytes": size, "period": period}), began)


def test_it_is_used_up_by_what_was_sent_and_fresh_in_the_next_period() -> None:
    tried = cap()
    tried.count(999, 10.0)
    assert not tried.is_used_up(10.0)
    tried.count(1, 20.0)
    assert tried.is_used_up(20.0)
    assert tried.ends_in(20.0) == 3580.0
    assert tried.is_used_up(3599.9)
    assert not tried.is_used_up(3600.0)
    assert tried.used(3600.0) == 0


@pytest.mark.parametrize(("now", "ends_in"), [(0.0, 3600.0), (3600.0, 3600.0), (3601.0, 3599.0), (36000.5, 3599.5)])
def test_periods_follow_each_other_also_while_nobody_comes(now: float, ends_in: float) -> None:
    assert cap().ends_in(now) == ends_in


def test_what_is_sent_across_the_end_counts_where_it_is_sent() -> None:
    tried = cap()
    tried.count(800, 3599.0)
    tried.count(800, 3601.0)
    assert tried.used(3601.0) == 800


def test_another_cap_can_go_on() -> None:
    tried, larger = cap(), cap(5000, began=900.0)
    tried.count(1000, 10.0)
    larger.go_on_from(tried)
    assert (larger.used(1000.0), larger.is_used_up(1000.0), larger.ends_in(1000.0)) == (1000, False, 2600.0)


@given(st.lists(st.tuples(st.floats(0, 5000), st.integers(0, 400)), max_size=100))
def test_no_period_counts_more_than_was_sent_in_it(sent: list[tuple[float, int]]) -> None:
    tried, now, by_period = cap(), 0.0, dict[int, int]()
    for step, size in sent:
        now += step
        tried.count(size, now)
        number = int(now // 3600)
        by_period[number] = by_period.get(number, 0) + size
        assert tried.used(now) == by_period[number]
        assert 0 < tried.ends_in(now) <= 3600
