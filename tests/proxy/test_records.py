from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.records import AttemptRecord, Event, ExchangeRecord, Recorder, escape_bytes


def record(request_id: str = "r", **changes: object) -> ExchangeRecord:
    made = ExchangeRecord("lb", "lb", request_id, 1763888888.123, "127.0.0.1:5555", "GET", "/products")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_an_exchange_as_json() -> None:
    attempt = AttemptRecord("127.0.0.1:9001", 0.0001, phase="wait", error="http_protocol_error", wait=0.5)
    attempt.first_bytes = b"\x16\x03\x01"
    made = record(
        status=502, generated=True, error="http_protocol_error", attempts=[attempt], breaker="closed", retry_after=6.01
    )
    assert json.loads(json.dumps(made.as_dict())) == {
        "id": 0,
        "hop": "lb",
        "tier": "lb",
        "request_id": "r",
        "session": None,
        "trace_id": None,
        "started": 1763888888.123,
        "duration": 0.0,
        "client": "127.0.0.1:5555",
        "method": "GET",
        "target": "/products",
        "request_bytes": 0,
        "status": 502,
        "generated": True,
        "error": "http_protocol_error",
        "details": None,
        "response_bytes": 0,
        "truncated": False,
        "client_gone": False,
        "retry_after": 7,
        "breaker": "closed",
        "not_retried": None,
        "queued": 0.0,
        "attempts": [
            {
                "endpoint": "127.0.0.1:9001",
                "local": None,
                "reused": False,
                "started": 0.0001,
                "phases": {"connect": 0.0, "send": 0.0, "wait": 0.5, "receive": 0.0},
                "phase": "wait",
                "status": None,
                "error": "http_protocol_error",
                "details": None,
                "first_bytes": "\\x16\\x03\\x01",
                "backoff": 0.0,
            }
        ],
        "proxy_status": "",
        "cache": None,
        "cache_status": "",
        "request": None,
    }


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"HTTP/1.1 200 OK\r\n", r"HTTP/1.1 200 OK\r\n"),
        (b"\x16\x03\x01\xff\x00", r"\x16\x03\x01\xff\x00"),
        (b'\t\\"<', r"\t\\" + '"<'),
    ],
)
def test_bytes_are_shown_as_text(data: bytes, text: str) -> None:
    assert escape_bytes(data) == text


@given(st.binary())
def test_shown_bytes_can_be_told_apart(data: bytes) -> None:
    text = escape_bytes(data)
    assert text.isascii()
    assert text.encode().decode("unicode_escape").encode("latin-1") == data


def test_keeps_the_last_ones() -> None:
    recorder = Recorder(3)
    for index in range(5):
        recorder.add(record(f"r{index}"))
    assert [each.request_id for each in recorder.query()] == ["r2", "r3", "r4"]
    assert [each.id for each in recorder.query()] == [3, 4, 5]


def test_finds_what_is_asked_for() -> None:
    recorder = Recorder(10)
    for request_id in "abcabca":
        recorder.add(record(request_id))
    assert [each.id for each in recorder.query("a")] == [1, 4, 7]
    assert [each.id for each in recorder.query("a", limit=2)] == [4, 7]
    assert [each.id for each in recorder.query(limit=2)] == [6, 7]
    assert [each.id for each in recorder.query(after=3, limit=2)] == [4, 5]
    assert [each.id for each in recorder.query("a", after=3)] == [4, 7]
    assert recorder.query(after=7) == []
    assert recorder.query("x") == []


def test_finds_the_records_of_one_session() -> None:
    recorder = Recorder(10)
    for session in (None, "alice", "bob", "alice"):
        recorder.add(record("a", session=session))
    assert [each.id for each in recorder.query(session="alice")] == [2, 4]
    assert [each.id for each in recorder.query(session="alice", limit=1)] == [4]
    assert [each.id for each in recorder.query(session="alice", after=2)] == [4]
    assert recorder.query("b", session="alice") == []
    assert recorder.query(session="alice")[0].as_dict()["session"] == "alice"


def test_counts() -> None:
    recorder = Recorder(2)
    recorder.add(record(status=200))
    recorder.add(record(status=204, truncated=True))
    recorder.add(record(status=502, error="dns_error", attempts=[AttemptRecord("a", 0.0)] * 3))
    recorder.add(record(attempts=[AttemptRecord("a", 0.0), AttemptRecord("b", 0.1, hedge=True)]))
    recorder.add(record(client_gone=True))
    assert recorder.totals() == {
        "exchanges": 5,
        "by_status": {"2xx": 2, "5xx": 1},
        "by_error": {"dns_error": 1},
        "retries": 3,
        "hedges": 1,
        "truncated": 1,
        "client_gone": 1,
    }


def test_clearing_forgets_all_but_the_ids() -> None:
    recorder = Recorder(2)
    recorder.add(record(status=200))
    recorder.clear()
    assert recorder.query() == []
    assert recorder.totals()["exchanges"] == 0
    recorder.add(record())
    assert recorder.query()[0].id == 2


def test_another_size_keeps_the_newest() -> None:
    recorder = Recorder(5)
    for _ in range(5):
        recorder.add(record())
    recorder.resize(2)
    assert [each.id for each in recorder.query()] == [4, 5]


async def test_subscribers_are_told_while_they_listen() -> None:
    recorder = Recorder(5)
    recorder.add(record("before"))
    with recorder.subscribe() as one, recorder.subscribe() as other:
        recorder.add(record("now"))
        recorder.publish(Event("breaker", {"to": "open"}))
        events = [one.queue.get_nowait(), one.queue.get_nowait()]
        assert [event.kind for event in events] == ["exchange", "breaker"]
        assert events[0].as_dict()["request_id"] == "now"
        assert events[1].as_dict() == {"to": "open"}
        assert other.queue.qsize() == 2
    recorder.add(record("after"))
    assert one.queue.empty()


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many() -> None:
    recorder = Recorder(5)
    with recorder.subscribe(size=2) as slow:
        for _ in range(5):
            recorder.add(record())
    assert slow.dropped == 3
    kept = [slow.queue.get_nowait().as_dict()["id"] for _ in range(2)]
    assert kept == [4, 5]
