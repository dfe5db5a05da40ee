from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.health_settings import OutlierSettings
from badgateway_proxy.error_types import ERROR_TABLE, ErrorType
from badgateway_proxy.policies.balancer import EndpointState
from badgateway_proxy.policies.outlier import Cause, OutlierDetector, Result, result_of
from badgateway_proxy.policies.round_robin import RoundRobin
from tests.support.endpoints import endpoints

REFUSED, LATE, GARBAGE = (
    ErrorType.CONNECTION_REFUSED,
    ErrorType.HTTP_RESPONSE_TIMEOUT,
    ErrorType.HTTP_PROTOCOL_ERROR,
)


class Watched:
    """A detector over some endpoints, and what it told."""

    def __init__(self, count: int = 10, **settings: Any) -> None:
        self.told: list[tuple[int, Cause | None]] = []
        self.endpoints = endpoints(*[1] * count)
        by = OutlierSettings.model_validate({"enabled": True, "max_ejection_percent": 100.0} | settings)
        self.detector = OutlierDetector(by, self._tell, now=0.0)
        self.detector.watch(self.endpoints)

    def _tell(self, endpoint: EndpointState, why: Cause | None) -> None:
        self.told.append((self.endpoints.index(endpoint), why))

    def see(self, outcomes: Iterable[int | ErrorType], endpoint: int = 0, now: float = 0.0) -> bool:
        """Report outcomes of one endpoint in turn. Returns whether it is ejected then."""
        for outcome in outcomes:
            error, status = (outcome, None) if isinstance(outcome, ErrorType) else (None, outcome)
            self.detector.report(self.endpoints[endpoint], error, status, now)
        return self.endpoints[endpoint].ejected


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (200, Result.SUCCESS),
        (404, Result.SUCCESS),
        (429, Result.SUCCESS),
        (500, Result.SERVER_ERROR),
        (501, Result.SERVER_ERROR),
        (502, Result.GATEWAY_FAILURE),
        (503, Result.GATEWAY_FAILURE),
        (504, Result.GATEWAY_FAILURE),
        (GARBAGE, Result.GATEWAY_FAILURE),
        (ErrorType.HTTP_RESPONSE_INCOMPLETE, Result.GATEWAY_FAILURE),
        (REFUSED, Result.LOCAL_ORIGIN_FAILURE),
        (LATE, Result.LOCAL_ORIGIN_FAILURE),
        (ErrorType.CONNECTION_TERMINATED, Result.LOCAL_ORIGIN_FAILURE),
        (ErrorType.CONNECTION_TIMEOUT, Result.LOCAL_ORIGIN_FAILURE),
        (ErrorType.DNS_ERROR, Result.LOCAL_ORIGIN_FAILURE),
        (ErrorType.HTTP_REQUEST_ERROR, None),
        (ErrorType.PROXY_INTERNAL_ERROR, None),
        (None, None),
    ],
)
def test_what_an_outcome_says_of_its_endpoint(outcome: int | ErrorType | None, result: Result | None) -> None:
    error = outcome if isinstance(outcome, ErrorType) else None
    assert result_of(error, outcome if isinstance(outcome, int) and error is None else None) is result


@pytest.mark.parametrize("error", ErrorType)
def test_every_error_that_tells_against_an_upstream_tells_against_its_endpoint(error: ErrorType) -> None:
    assert (result_of(error, None) is not None) is ERROR_TABLE[error].breaker


@pytest.mark.parametrize(
    ("settings", "outcomes", "ejected"),
    [
        ({}, [500] * 4, False),
        ({}, [500] * 5, True),
        ({}, [500, 502, REFUSED, LATE, GARBAGE], True),
        ({}, [500] * 4 + [200] + [500] * 4, False),
        ({}, [404] * 50, False),
        ({"consecutive_5xx": 0}, [500] * 50, False),
        ({"consecutive_5xx": 1}, [500], True),
        # A 500 comes from the app itself, and is not a gateway's failure.
        ({"consecutive_5xx": 0, "consecutive_gateway_failure": 3}, [500] * 9, False),
        ({"consecutive_5xx": 0, "consecutive_gateway_failure": 3}, [502, 503, 500, 504, 502], False),
        ({"consecutive_5xx": 0, "consecutive_gateway_failure": 3}, [502, REFUSED, GARBAGE], True),
    ],
)
def test_failures_in_a_row_eject(settings: dict[str, Any], outcomes: list[int | ErrorType], ejected: bool) -> None:
    assert Watched(**settings).see(outcomes) is ejected


@pytest.mark.parametrize(
    ("outcomes", "ejected"),
    [
        ([REFUSED] * 2, False),
        ([REFUSED, LATE, REFUSED], True),
        ([REFUSED, REFUSED, 500, REFUSED, REFUSED], False),
        ([REFUSED, REFUSED, 200, REFUSED, REFUSED], False),
        # They no longer count as 5xx, and do not interrupt what is.
        ([500, 500, 500, 500, REFUSED, 500], True),
        ([500, 500, REFUSED, REFUSED, 500, 500], False),
        ([GARBAGE] * 4, False),
        ([GARBAGE] * 5, True),
    ],
)
def test_split_off_local_origin_failures_have_their_own_count(outcomes: list[int | ErrorType], ejected: bool) -> None:
    watched = Watched(split_external_local_origin_errors=True, consecutive_local_origin_failure=3)
    assert watched.see(outcomes) is ejected


def test_tells_which_detector_it_was() -> None:
    watched = Watched(split_external_local_origin_errors=True, consecutive_gateway_failure=2)
    watched.see([500] * 5, endpoint=0)
    watched.see([503] * 2, endpoint=1)
    watched.see([REFUSED] * 5, endpoint=2)
    assert watched.told == [
        (0, Cause.CONSECUTIVE_5XX),
        (1, Cause.CONSECUTIVE_GATEWAY_FAILURE),
        (2, Cause.CONSECUTIVE_LOCAL_ORIGIN_FAILURE),
    ]
    assert watched.detector.snapshot(watched.endpoints[1], 10.0) == {
        "ejections": 1,
        "ejected_for": 20.0,
        "ejected_by": "consecutive_gateway_failure",
        "consecutive_5xx": 2,
        "consecutive_gateway_failure": 0,
        "consecutive_local_origin_failure": 0,
    }


def test_an_ejection_ends_by_itself_and_counting_begins_anew() -> None:
    watched = Watched()
    watched.see([500] * 5, now=100.0)
    assert watched.detector.due <= 130.0
    watched.detector.look(129.9)
    assert watched.detector.until(watched.endpoints[0]) == 130.0
    watched.detector.look(130.0)
    assert watched.detector.until(watched.endpoints[0]) is None
    assert watched.endpoints[0].since == 130.0
    assert watched.told == [(0, Cause.CONSECUTIVE_5XX), (0, None)]
    assert not watched.see([500] * 4, now=130.0)
    assert watched.see([500], now=130.0)


def lengths(watched: Watched, times: int, healthy_for: float = 0.0) -> list[float]:
    """How long each of several ejections in succession takes."""
    now, found = 0.0, []
    for _ in range(times):
        watched.detector.look(now)
        assert watched.see([500] * 5, now=now)
        until = watched.detector.until(watched.endpoints[0])
        assert until is not None
        found.append(until - now)
        watched.detector.look(until)
        now = until + healthy_for
    return found


def test_each_ejection_in_succession_is_longer_up_to_the_longest() -> None:
    assert lengths(Watched(max_ejection_time="100s"), 6) == [30, 60, 90, 100, 100, 100]


def test_an_interval_without_ejection_takes_one_back() -> None:
    assert lengths(Watched(), 4, healthy_for=15.0) == [30, 30, 30, 30]
    watched = Watched()
    lengths(watched, 3)  # 30 + 60 + 90 s, and a multiplier of 3
    watched.detector.look(180.0 + 21.0)  # two intervals in good health
    assert lengths_from(watched, 201.0) == 60


def lengths_from(watched: Watched, now: float) -> float:
    watched.see([500] * 5, now=now)
    until = watched.detector.until(watched.endpoints[0])
    assert until is not None
    return until - now


def test_a_long_jump_of_the_clock_is_many_intervals_at_once() -> None:
    watched = Watched()
    lengths(watched, 3)
    watched.detector.look(1e9)
    assert watched.detector.due == pytest.approx(1e9, abs=10)
    assert lengths_from(watched, 1e9) == 30


@pytest.mark.parametrize(
    ("count", "percent", "out"), [(10, 10, 1), (10, 30, 3), (3, 10, 1), (3, 33, 1), (3, 66.7, 2), (4, 100, 4)]
)
def test_no_more_than_max_ejection_percent_but_always_one(count: int, percent: float, out: int) -> None:
    watched = Watched(count, max_ejection_percent=float(percent))
    for index in range(count):
        watched.see([500] * 25, endpoint=index)
    assert sum(each.ejected for each in watched.endpoints) == out


def test_one_whose_ejection_had_to_wait_is_ejected_when_there_is_room() -> None:
    watched = Watched(3, max_ejection_percent=34.0)
    assert watched.see([500] * 5, endpoint=0, now=0.0)
    assert not watched.see([500] * 5, endpoint=1, now=20.0)
    watched.detector.look(30.0)
    assert watched.see([500] * 5, endpoint=1, now=30.0)


def see_rates(watched: Watched, *percents: float, volume: int = 200, now: float = 0.0) -> list[int]:
    """Report as many successes and failures, mixed, and compare. Returns who is out."""
    for index, percent in enumerate(percents):
        good = round(volume * percent / 100)
        outcomes = [200] * good + [500] * (volume - good)
        random.Random(index).shuffle(outcomes)
        watched.see(outcomes, endpoint=index, now=now)
    watched.detector.look(now + 10.0)
    return [index for index, each in enumerate(watched.endpoints) if each.ejected]


COMPARES = {"consecutive_5xx": 0, "success_rate": {"minimum_hosts": 5}}


@pytest.mark.parametrize(
    ("percents", "out"),
    [
        ((100, 100, 100, 100, 100), []),
        ((99, 98, 99, 98, 70), [4]),  # mean 92.8, deviation 11.4: below 71.1
        ((99, 98, 99, 98, 97), []),
        ((50, 50, 50, 50, 50), []),  # all the same: no outlier, however bad
        ((100, 100, 100, 0, 0), []),  # two of five are within 1.9 deviations: 40 - 1.9 x 49 is less than 0
    ],
)
def test_success_rates_are_compared(percents: tuple[float, ...], out: list[int]) -> None:
    assert see_rates(Watched(5, **COMPARES), *percents) == out


def test_a_success_rate_needs_company_and_volume() -> None:
    assert see_rates(Watched(4, **COMPARES), 99, 98, 99, 10) == []
    assert see_rates(Watched(5, **COMPARES), 99, 98, 99, 98, 10, volume=99) == []
    assert see_rates(Watched(5, consecutive_5xx=0), 99, 98, 99, 98, 10) == []


def test_each_interval_is_compared_by_itself() -> None:
    watched = Watched(5, **COMPARES, base_ejection_time="1s")
    assert see_rates(watched, 99, 98, 99, 98, 10) == [4]
    watched.detector.look(12.0)
    assert see_rates(watched, 99, 98, 99, 98, 97, now=12.0) == []


def test_what_is_not_watched_any_more_is_ignored_and_what_stays_is_remembered() -> None:
    watched = Watched(3)
    watched.see([500] * 5, endpoint=0)
    watched.see([500] * 4, endpoint=1)
    watched.detector.watch(watched.endpoints[:2])
    assert not watched.see([500] * 9, endpoint=2)
    assert watched.see([500], endpoint=1)
    watched.detector.clear(5.0)
    assert not any(each.ejected for each in watched.endpoints)


def test_other_settings_go_on_from_what_is_known() -> None:
    watched = Watched()
    watched.see([500] * 3)
    watched.detector.configure(OutlierSettings(enabled=True, consecutive_5xx=2, interval="1s"), now=5.0)  # type: ignore[arg-type]  # a text as in YAML
    assert watched.detector.due == 6.0
    assert watched.see([500])


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([200, 500, 503, REFUSED, LATE]), st.floats(0, 30)), max_size=150
    ),
    st.sampled_from([10.0, 50.0, 100.0]),
    st.booleans(),
)
def test_whatever_happens_the_cap_holds_and_everybody_comes_back(
    story: list[tuple[int, int | ErrorType, float]], percent: float, split: bool
) -> None:
    watched = Watched(4, max_ejection_percent=percent, consecutive_5xx=2, split_external_local_origin_errors=split)
    now = 0.0
    for endpoint, outcome, passes in story:
        now += passes
        if now >= watched.detector.due:
            watched.detector.look(now)
        watched.see([outcome], endpoint=endpoint, now=now)
        out = sum(each.ejected for each in watched.endpoints)
        assert out <= max(1, 4 * percent / 100)
        assert watched.detector.due > now - 1e-9
        for each in watched.endpoints:
            until = watched.detector.until(each)
            assert until is None or until <= now + 300
    watched.detector.look(now + 300)
    assert not any(each.ejected for each in watched.endpoints)


@pytest.mark.parametrize("share_failing", [1.0, 0.5])
def test_over_a_million_requests_a_broken_one_of_three_costs_little(share_failing: float) -> None:
    """100 requests a second to three endpoints, of which one fails. Without ejection a third of its share fails.

    In 10,000 s the one that always fails is out but for 5 requests every 30 s, 60 s, … 300 s.
    """
    dice = random.Random(7).random
    watched = Watched(3)
    among, detector = watched.endpoints, watched.detector
    balancer, report = RoundRobin(among), detector.report
    failed = 0
    for number in range(1_000_000):
        now = number / 100
        if now >= detector.due:
            detector.look(now)
            balancer.update([each for each in among if not each.ejected])
        endpoint = balancer.pick()
        bad = endpoint is among[0] and dice() < share_failing
        failed += bad
        report(endpoint, None, 500 if bad else 200, now)
        if endpoint.ejected:
            balancer.update([each for each in among if not each.ejected])
    if share_failing == 1.0:
        assert 5 * 30 <= failed <= 5 * 60
    else:
        assert failed / 1_000_000 < share_failing / 3 / 10
