from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.upstream_limits import UpstreamLimitSettings
from badgateway_proxy.policies.upstream_limits import UpstreamLimits, Verdict

GO, WAIT = Verdict.GO, Verdict.WAIT


def limits(**settings: Any) -> UpstreamLimits:
    return UpstreamLimits(UpstreamLimitSettings.model_validate(settings))


def arrivals(tried: UpstreamLimits, count: int) -> list[Verdict]:
    return [tried.arrive() for _ in range(count)]


@pytest.mark.parametrize(
    ("settings", "verdicts"),
    [
        ({}, [GO] * 4),
        ({"max_connections": 2}, [GO, GO, WAIT, WAIT]),
        ({"max_connections": 1, "max_pending_requests": 2}, [GO, WAIT, WAIT, Verdict.QUEUE_FULL]),
        ({"max_connections": 3, "max_pending_requests": 0}, [GO, GO, GO, Verdict.NO_CONNECTION]),
        ({"max_requests": 2}, [GO, GO, Verdict.TOO_MANY_REQUESTS, Verdict.TOO_MANY_REQUESTS]),
        ({"max_requests": 2, "max_connections": 1}, [GO, WAIT, WAIT, WAIT]),
    ],
)
def test_what_four_requests_at_once_are_to_do(settings: dict[str, Any], verdicts: list[Verdict]) -> None:
    assert arrivals(limits(**settings), 4) == verdicts


def test_who_waits_takes_the_place_of_who_leaves() -> None:
    tried = limits(max_connections=1)
    arrivals(tried, 2)
    assert not tried.next_may_go()
    tried.leave()
    assert tried.next_may_go()
    assert (tried.active, tried.pending) == (1, 0)
    assert tried.arrive() is WAIT, "and a newcomer comes behind it"


def test_who_gives_up_leaves_room_in_the_queue() -> None:
    tried = limits(max_connections=1, max_pending_requests=1)
    assert arrivals(tried, 3) == [GO, WAIT, Verdict.QUEUE_FULL]
    tried.give_up()
    assert tried.arrive() is WAIT


def test_retries_under_way_are_counted() -> None:
    tried = limits(max_retries=2)
    assert [tried.begin_retry() for _ in range(3)] == [True, True, False]
    tried.end_retry()
    assert tried.begin_retry()
    assert not limits(max_retries=0).begin_retry()
    assert limits().begin_retry()


@given(
    connections=st.integers(1, 5),
    pending=st.integers(0, 5),
    requests=st.none() | st.integers(1, 8),
    events=st.lists(st.sampled_from(["arrive", "leave", "give up"]), max_size=200),
)
def test_counts_stay_within_the_limits_and_nobody_waits_for_a_free_place(
    connections: int, pending: int, requests: int | None, events: list[str]
) -> None:
    tried = limits(max_connections=connections, max_pending_requests=pending, max_requests=requests)
    for event in events:
        if event == "arrive":
            tried.arrive()
        elif event == "leave" and tried.active:
            tried.leave()
            tried.next_may_go()
        elif event == "give up" and tried.pending:
            tried.give_up()
        assert 0 <= tried.active <= min(connections, requests or connections)
        assert 0 <= tried.pending <= pending
        assert not tried.pending or tried.active == connections
