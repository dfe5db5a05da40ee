"""What of the lab's events goes into a recording."""

from __future__ import annotations

from typing import Any

import pytest

from badgateway.recording.entries import Asked, Order, Recording, asked
from tests.support.tracerecords import STARTED, record


def exchange(node: str = "cdn", **over: Any) -> dict[str, Any]:
    data = {**record(node), "request_bytes": 0, "request": {"headers": [], "body": ""}, **over}
    return {"kind": "exchange", "node": node, "data": data, "time": STARTED + 1}


def order(**step: Any) -> dict[str, Any]:
    return {"kind": "order", "node": "lab", "data": step, "time": STARTED}


def test_the_clients_requests_and_the_orders() -> None:
    recording = Recording(["cdn", "lb"], [])
    for event in [order(advance="3s"), exchange(), exchange("lb"), None, order(patch={"cdn": {"keep_request": 9}})]:
        recording.note(event)
    assert recording.entries[0] == Order(STARTED, {"advance": "3s"})
    assert [type(entry) for entry in recording.entries] == [Order, Asked]


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        ({"category": "process", "what": "set", "when": {}}, True),
        ({"category": "process", "what": "set", "when": {"first": 1}}, False),
        ({"category": "process", "what": "cleared", "when": {}}, False),
        ({"category": "response", "what": "set", "when": {}}, False),
    ],
)
def test_which_faults_struck(fault: dict[str, Any], struck: bool) -> None:
    recording = Recording(["cdn", "lb"], [])
    recording.note({"kind": "fault", "node": "app", "data": {"id": "f-1", **fault}, "time": 1.0})
    assert recording.fired == ({"f-1"} if struck else set())
    recording.note({"kind": "firing", "node": "app-1", "data": {"fault": "f-1"}, "time": 1.0})
    assert recording.fired == {"f-1"}


def test_a_request_keeps_what_another_client_could_not_know() -> None:
    headers = [["Host", "a"], ["X-A", "1"], ["User-Agent", "curl"], ["Cookie", "secret"], ["AUTHORIZATION", "secret"]]
    seen = asked(exchange(request={"headers": headers, "body": "hello"}, request_bytes=5, method="POST"))
    assert (seen.method, seen.path, seen.headers, seen.body) == ("POST", "/products", (("X-A", "1"),), "hello")
    assert seen.left_out == {"cookie", "authorization"}
    assert "secret" not in str(seen)


def test_a_body_that_was_not_kept_is_told() -> None:
    unkept: dict[str, Any] = {"headers": [], "body": None}
    assert asked(exchange(request_bytes=10**6, request=unkept)).left_out == {"body"}
    assert asked(exchange(request=unkept)).left_out == {"body"}, "refused before it was read"
    assert asked(exchange()).left_out == frozenset()


@pytest.mark.parametrize(
    ("over", "expect"),
    [
        ({}, {"status": 200}),
        ({"status": 200, "truncated": True}, {"status": 200, "truncated": True}),
        ({"client_gone": True}, {}),
        ({"status": None}, {}),
    ],
)
def test_what_must_come_of_it_again(over: dict[str, Any], expect: dict[str, Any]) -> None:
    assert asked(exchange(**over)).expect == expect


def test_who_decided_and_how_often_a_hop_tried_is_read_from_the_hops_events() -> None:
    """Not from their records, which a reset right behind the request takes; in whichever order they come."""
    recording = Recording(["cdn", "lb"], [])
    failed = {"status": 502, "generated": True, "error": "connection_refused"}
    recording.note(exchange("cdn", status=502, attempts=[{}]))
    recording.note(exchange("lb", **failed, attempts=[{}, {}]))
    [request_id] = recording.ways
    assert recording.outcome(request_id) == {
        "decided_by": "lb",
        "error": "connection_refused",
        "attempts": {"lb": 2},
    }
    assert recording.outcome("of nobody") == {}
