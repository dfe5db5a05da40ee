from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.alerting.evaluation import EVERY, SCALE, Firing, Sample, firings, samples_of
from badgateway.alerting.rules import ALERTS, HOUR, MINUTE, Alert, Bad, Condition

ALERT = Alert("A", "page", Bad("5xx", "5.."), (Condition(60 * MINUTE, 5 * MINUTE, 0.1),), 3, "s", "l")


def steady(minutes: range, status: int | None, *, per_minute: int = 10, hop: str = "cdn") -> list[Sample]:
    """Requests at an even pace, the first just after the first of these minutes began."""
    return [
        Sample(hop, (minute + (n + 0.5) / per_minute) * MINUTE, status) for minute in minutes for n in range(per_minute)
    ]


def fired(samples: list[Sample], *, alert: Alert = ALERT, until: float = 3 * HOUR) -> list[tuple[float, float]]:
    """When it fired, in minutes."""
    return [(f.since / MINUTE, f.until / MINUTE) for f in firings([alert], samples, until=until, scale=1)]


def test_it_fires_when_both_windows_are_over_and_ends_when_the_short_one_is_not() -> None:
    samples = steady(range(60), 200) + steady(range(60, 70), 500) + steady(range(70, 180), 200)
    # the long window needs 6 or 7 bad minutes in 60 to be over 10 %; the short one is empty of them 5 minutes after
    assert fired(samples) == [(67, 75)]


def test_a_short_spike_over_the_short_window_alone_does_not_fire() -> None:
    samples = steady(range(60), 200) + steady(range(60, 65), 500) + steady(range(65, 180), 200)
    assert fired(samples) == []


def test_it_fires_to_the_end_if_the_trouble_does_not_end() -> None:
    assert fired(steady(range(60), 200) + steady(range(60, 180), 503), until=2 * HOUR) == [(67, 120)]


def test_a_failure_or_two_in_little_traffic_do_not_fire_however_large_their_share() -> None:
    assert fired(steady(range(10, 12), 500, per_minute=1)) == []
    assert fired(steady(range(10, 13), 500, per_minute=1)) == [(13, 18)]


def test_requests_without_a_response_are_requests_and_no_errors() -> None:
    assert fired(steady(range(60), None) + steady(range(60, 66), 500) + steady(range(66, 180), None)) == []


def test_each_hop_is_judged_by_itself() -> None:
    samples = steady(range(60), 200) + steady(range(60), 500, hop="lb")
    assert firings([ALERT], samples, until=HOUR, scale=1) == [Firing("A", "lb", MINUTE, HOUR)]


def test_one_of_several_conditions_is_enough() -> None:
    either = Alert("A", "page", ALERT.bad, (Condition(60 * MINUTE, 5 * MINUTE, 2), *ALERT.conditions), 3, "s", "l")
    samples = steady(range(60), 200) + steady(range(60, 70), 500)
    assert fired(samples, alert=either) == fired(samples)


def test_a_window_has_its_newer_end_and_not_its_older_one() -> None:
    alert = Alert("A", "page", ALERT.bad, (Condition(MINUTE, MINUTE, 0.5),), 1, "s", "l")
    assert fired([Sample("cdn", 2 * MINUTE, 500)], alert=alert, until=5 * MINUTE) == [(2, 3)]


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_scaling_changes_the_times_and_nothing_else(alert: Alert) -> None:
    status = 500 if alert.bad.matches(500) else 429
    samples = steady(range(60), 200) + steady(range(60, 100), status) + steady(range(100, 300), 200)
    small = [Sample(s.hop, s.at / SCALE, s.status) for s in samples]
    true = firings([alert], samples, until=5 * HOUR, scale=1)
    scaled = firings([alert], small, until=5 * HOUR / SCALE)
    assert true
    assert [(f.since * SCALE, f.until * SCALE) for f in scaled] == [
        pytest.approx((f.since, f.until), abs=EVERY / 1000) for f in true
    ]


def test_samples_are_when_an_exchange_ended() -> None:
    record = {"hop": "lb", "started": 1000.5, "duration": 0.25, "status": None, "error": None}
    assert samples_of([record], 1000.0) == [Sample("lb", 0.75, None)]


SAMPLES = st.builds(Sample, st.just("cdn"), st.floats(0, 600), st.sampled_from([None, 200, 404, 429, 500]))


@given(st.lists(SAMPLES, max_size=60))
def test_it_never_fires_for_what_is_not_counted_and_spans_are_in_order(samples: list[Sample]) -> None:
    found = firings([ALERT], samples, until=600, scale=10)
    assert all(a.until <= b.since for a, b in itertools.pairwise(found))
    assert all(0 <= f.since < f.until <= 600 or f.since == f.until == 600 for f in found)
    assert firings([ALERT], [s for s in samples if s.status != 500], until=600, scale=10) == []
