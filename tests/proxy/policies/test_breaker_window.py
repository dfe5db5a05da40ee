from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.breaker_window import CountedCalls, TimedCalls, Totals

CALLS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)
TIMED = st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.booleans()), max_size=60)


def count(calls: list[tuple[bool, bool]]) -> Totals:
    return len(calls), sum(failed for failed, _ in calls), sum(slow for _, slow in calls)


@given(st.integers(1, 20), CALLS)
def test_the_last_calls_count(size: int, calls: list[tuple[bool, bool]]) -> None:
    window = CountedCalls(size)
    for index, (failed, slow) in enumerate(calls, start=1):
        assert window.add(failed, slow, 0.0) == count(calls[max(0, index - size) : index])
    assert window.totals(1e9) == count(calls[-size:])


@given(st.floats(0.1, 60), TIMED)
def test_the_calls_of_the_last_while_count(size: float, calls: list[tuple[float, bool, bool]]) -> None:
    window = TimedCalls(size)
    width = size / 60
    now = 0.0
    seen: list[tuple[int, bool, bool]] = []
    for pause, failed, slow in calls:
        now += pause
        tick = int(now / width)
        seen.append((tick, failed, slow))
        recent = [(was_failed, was_slow) for when, was_failed, was_slow in seen if when > tick - 60]
        assert window.add(failed, slow, now) == count(recent)
    assert window.totals(now + 2 * size) == (0, 0, 0)


def test_a_call_counts_for_no_longer_than_the_window() -> None:
    window = TimedCalls(60.0)
    window.add(True, True, 1000.5)
    assert window.totals(1059.9) == (1, 1, 1)
    assert window.totals(1060.0) == (0, 0, 0)


def test_a_clock_that_stands_still_or_steps_back_loses_nothing() -> None:
    window = TimedCalls(60.0)
    window.add(True, False, 1000.0)
    assert window.add(False, False, 990.0) == (2, 1, 0)
