"""Records of hops and instances become one trace a request, with who decided it."""

from __future__ import annotations

from typing import Any

import pytest

from badgateway.chain.traces import decision, join

HOPS = ["cdn", "lb"]


def exchange(hop: str, request_id: str = "r1", **fields: Any) -> dict[str, Any]:
    """An exchange record; a relayed 200 unless `fields` say otherwise."""
    return {
        "hop": hop,
        "request_id": request_id,
        "started": 100.0,
        "duration": 0.5,
        "status": 200,
        "generated": False,
        "error": None,
        "attempts": [],
        "proxy_status": f"{hop}; received-status=200",
        **fields,
    }


def own_error(hop: str, error: str, **fields: Any) -> dict[str, Any]:
    return exchange(hop, generated=True, error=error, proxy_status=f"{hop}; error={error}", **fields)


@pytest.mark.parametrize(
    ("hops", "expected"),
    [
        ([], ("app", None)),
        ([exchange("cdn"), exchange("lb")], ("app", None)),
        ([exchange("cdn", status=500), exchange("lb", status=500)], ("app", None)),
        ([exchange("cdn", status=502), own_error("lb", "connection_refused")], ("lb", "connection_refused")),
        ([own_error("cdn", "http_response_timeout")], ("cdn", "http_response_timeout")),
        # both made one: the CDN had given up before the LB did, so what the LB made went nowhere
        (
            [own_error("cdn", "http_response_timeout"), own_error("lb", "http_response_timeout")],
            ("cdn", "http_response_timeout"),
        ),
        # cut off after the head had gone out: still the app's response
        (
            [exchange("cdn", error="http_response_incomplete"), exchange("lb", error="http_response_incomplete")],
            ("app", "http_response_incomplete"),
        ),
        # made by a cache, whatever happened behind it
        ([exchange("cdn", cache="hit")], ("cdn", None)),
        ([exchange("cdn", cache="miss"), exchange("lb", cache="hit")], ("lb", None)),
        ([exchange("cdn", cache="stale")], ("cdn", None)),
        (
            [exchange("cdn", cache="stale"), own_error("lb", "connection_refused")],
            ("cdn", "connection_refused"),
        ),
        ([exchange("cdn", cache="stale", attempts=[{"error": "connection_refused"}])], ("cdn", "connection_refused")),
        ([exchange("cdn", cache="revalidated"), exchange("lb")], ("app", None)),
        ([exchange("cdn", cache="collapsed")], ("app", None)),
        ([own_error("cdn", "connection_refused", cache="collapsed")], ("cdn", "connection_refused")),
        # the client left before there was anything to send
        ([exchange("cdn", status=None, error="connection_terminated")], ("cdn", "connection_terminated")),
    ],
)
def test_who_decided(hops: list[dict[str, Any]], expected: tuple[str, str | None]) -> None:
    assert decision(hops) == expected


def test_records_are_joined_by_request_outermost_hop_first_in_order_of_arrival() -> None:
    later = exchange("cdn", "r2", started=101.0)
    traces = join(
        HOPS,
        [exchange("lb"), later, exchange("cdn", started=99.9)],
        [{"request_id": "r1", "instance": "app-1"}, {"request_id": None, "instance": "app-2"}],
        [],
        {},
    )
    assert [trace.request_id for trace in traces] == ["r1", "r2"]
    assert [record["hop"] for record in traces[0].hops] == ["cdn", "lb"]
    assert [record["instance"] for record in traces[0].app] == ["app-1"]
    assert traces[1].app == []


def test_a_request_that_only_an_inner_hop_recorded_has_a_trace_too() -> None:
    (trace,) = join(HOPS, [exchange("lb")], [], [], {})
    assert [record["hop"] for record in trace.hops] == ["lb"]


def attempt(local: str | None, started: float = 0.0, lasted: float = 0.2) -> dict[str, Any]:
    return {"endpoint": "127.0.0.1:9001", "local": local, "started": started, "phases": {"connect": lasted}}


OPEN, RESET = attempt("127.0.0.1:5000"), attempt(None)


@pytest.mark.parametrize(
    ("attempts", "request_id", "peer", "time", "struck"),
    [
        ([OPEN], "r1", "127.0.0.1:1", 0.0, True),
        ([OPEN], "r2", "127.0.0.1:5000", 100.1, False),
        ([OPEN], None, "127.0.0.1:5000", 100.1, True),
        ([OPEN], None, "127.0.0.1:5001", 100.1, False),
        ([OPEN], None, "127.0.0.1:5000", 90.0, False),
        ([OPEN], None, None, 100.1, False),
        # reset as it opened: the hop never learned its own address
        ([RESET], None, "127.0.0.1:5000", 100.1, True),
        ([RESET], None, "127.0.0.1:5000", 100.4, False),
        ([attempt(None, started=0.3), OPEN], None, "127.0.0.1:5001", 100.4, True),
    ],
)
def test_a_firing_belongs_to_the_request_it_names_or_the_connection_it_struck(
    attempts: list[dict[str, Any]], request_id: str | None, peer: str | None, time: float, struck: bool
) -> None:
    firing = {"request_id": request_id, "peer": peer, "time": time, "instance": "app-1"}
    hops = [exchange("cdn"), exchange("lb", attempts=attempts)]
    (trace,) = join(HOPS, hops, [], [firing], {"app-1": "127.0.0.1:9001", "app-2": "127.0.0.1:9002"})
    assert trace.firings == ([firing] if struck else [])


def test_a_connection_without_an_address_is_only_taken_for_one_to_the_same_instance() -> None:
    firing = {"request_id": None, "peer": "127.0.0.1:5000", "time": 100.1, "instance": "app-2"}
    (trace,) = join(HOPS, [exchange("lb", attempts=[RESET])], [], [firing], {"app-2": "127.0.0.1:9002"})
    assert trace.firings == []


def test_a_trace_is_plain_data() -> None:
    (trace,) = join(HOPS, [exchange("cdn")], [], [], {})
    assert trace.to_json()["hops"][0]["hop"] == "cdn"
    assert set(trace.to_json()) == {"request_id", "hops", "app", "firings", "decided_by", "error"}
