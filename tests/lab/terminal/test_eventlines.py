import pytest

from badgateway.chain.events import Event, EventKind
from badgateway.terminal.eventlines import Throttle, line_of
from tests.support.tracerecords import healthy, hung


def words(kind: EventKind, data: dict[str, object], node: str = "lb") -> str:
    return str(line_of(Event(kind, node, data, time=0.0))).partition("  ")[2]


def test_an_exchange_says_what_was_answered_how_fast_and_who_decided() -> None:
    cdn, lb = hung().hops
    assert words("exchange", cdn, "cdn") == "cdn    GET /products  504  802 ms"
    assert words("exchange", lb) == "lb     GET /products  504  800 ms  DECIDED here: http_response_timeout"
    cut = {**healthy().hops[1], "truncated": True, "error": "http_response_incomplete", "client_gone": True}
    assert words("exchange", cut).endswith("200  6.0 ms  http_response_incomplete  cut short  client gone")
    retried = {**lb, "attempts": lb["attempts"] * 3, "details": "no head"}
    assert words("exchange", retried).endswith("http_response_timeout (no head)  3 attempts")
    cached = {**healthy().hops[0], "cache": "hit"}
    assert words("exchange", cached).endswith("200  10 ms  cache hit")
    assert "no response" in words("exchange", {**cdn, "status": None})


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (
            "breaker",
            {"from": "open", "to": "half_open", "why": "wait_over"},
            "breaker open → half-open (wait over)",
        ),
        (
            "endpoint",
            {"endpoint": "127.0.0.1:9001", "to": "ejected", "why": "consecutive_5xx"},
            "endpoint 127.0.0.1:9001 is ejected (consecutive 5xx)",
        ),
        ("firing", {"fault": "f-1", "kind": "hang", "n": 2}, "fault f-1 (hang) fires, number 2"),
        ("process", {"pid": 7, "state": "frozen", "exit": None}, "process 7 frozen"),
        (
            "process",
            {"pid": 7, "state": "exited", "exit": {"status": None, "signal": 9}},
            "process 7 exited, killed by SIGKILL",
        ),
        (
            "process",
            {"pid": None, "state": "exited", "exit": {"status": 3, "signal": None}},
            "process exited, status 3",
        ),
        ("fault", {"id": "f-1", "kind": "hang", "what": "expired"}, "fault f-1 (hang) expired"),
    ],
)
def test_every_other_event_is_one_line_too(kind: EventKind, data: dict[str, object], said: str) -> None:
    assert words(kind, data) == f"lb     {said}"


def test_under_load_the_rest_of_a_second_is_counted() -> None:
    throttle = Throttle(limit=2)
    assert [throttle.admit(1.0 + n / 10) for n in range(4)] == [(True, 0), (True, 0), (False, 0), (False, 0)]
    assert throttle.admit(2.0) == (True, 2)
    assert throttle.admit(3.0) == (True, 0)
