from __future__ import annotations

from typing import Any

import pytest

from badgateway.chain.traces import join
from badgateway.running.answer import Answer, members_of
from badgateway.running.checking import check_request, decision, first_unmet
from badgateway.running.results import Seen
from badgateway.scenario.expectation import Expectation
from tests.support.scripted import exchange

HEAD = b"GET / HTTP/1.1\r\nX-Request-ID: r\r\n\r\n"
REFUSED = (("Proxy-Status", "lb; error=connection_refused"), ("Retry-After", "5"), ("X-A", "one"), ("X-A", "two"))
ATTEMPT = {"phase": "connect", "status": None, "first_bytes": "\\x16\\x03 TLS", "local": None}


def seen(*records: dict[str, Any], **answer: Any) -> Seen:
    headers = answer.pop("headers", REFUSED)
    whole = {"status": 502, "elapsed": 0.25, "body_after": 0.09, "body": b"no luck", **answer}
    return Seen(
        Answer(headers=headers, proxy_status=members_of(headers), **whole), join(["cdn", "lb"], records, [], [], {})[0]
    )


FAILED = seen(
    exchange("cdn", HEAD, status=502),
    exchange("lb", HEAD, status=502, generated=True, error="connection_refused", attempts=[ATTEMPT, ATTEMPT]),
)
CUT = seen(
    exchange("cdn", HEAD, truncated=True, error="http_response_incomplete"),
    exchange("lb", HEAD, truncated=True, error="http_response_incomplete"),
    status=200,
    truncated="received 3 of 9 bytes",
    headers=(),
)


def checks(expect: dict[str, Any], what: Seen) -> list[str]:
    return [f"{'+' if c.held else '-'} {c}" for c in check_request(Expectation.model_validate(expect), what)]


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ({"status": 502}, "+ status: 502"),
        ({"status": [500, "4xx"]}, "- status: expected 500 or 4xx, measured 502"),
        ({"decided_by": "lb"}, "+ decided_by: lb"),
        ({"decided_by": "app"}, "- decided_by: expected app, measured lb"),
        ({"error": "connection_refused"}, "+ error: connection_refused"),
        ({"error": "none"}, "- error: expected none, measured connection_refused"),
        ({"within": "300ms"}, "+ within: 250ms"),
        ({"within": "200ms"}, "- within: expected 200ms, measured 250ms"),
        ({"at_least": "200ms"}, "+ at_least: 250ms"),
        ({"at_least": "1s"}, "- at_least: expected 1s, measured 250ms"),
        ({"body_begins_within": "100ms"}, "+ body_begins_within: 90ms"),
        ({"body_begins_within": "80ms"}, "- body_begins_within: expected 80ms, measured 90ms"),
        ({"failure": "none"}, "+ failure: none"),
        ({"cache": {"cdn": "none"}}, "+ cache.cdn: none"),
        ({"cache": {"cdn": ["hit", "miss"]}}, "- cache.cdn: expected hit or miss, measured none"),
        ({"failure": "reset"}, "- failure: expected reset, measured none"),
        ({"retry_after": "1s..10s"}, "+ retry_after: 5"),
        ({"retry_after": False}, "- retry_after: expected absent, measured 5"),
        ({"header": {"x-a": "two"}}, "+ header x-a: one, two"),
        ({"header": {"X-A": "/^t/"}}, "+ header X-A: one, two"),
        ({"header": {"X-A": "three"}}, '- header X-A: expected "three", measured one, two'),
        ({"header": {"X-B": {"present": False}}}, "+ header X-B: absent"),
        ({"header": {"X-B": True}}, "- header X-B: expected present, measured absent"),
        ({"body": "luck"}, "+ body: 'no luck'"),
        ({"body": "fun"}, "- body: expected contains 'fun', measured 'no luck'"),
        ({"truncated": False}, "+ truncated: no"),
        ({"truncated": True}, "- truncated: expected yes, measured no"),
        ({"first_bytes": "TLS"}, "+ first_bytes: '\\\\x16\\\\x03 TLS'; '\\\\x16\\\\x03 TLS'"),
        ({"attempts": {"lb": 2}}, "+ attempts.lb: 2"),
        ({"attempts": {"lb": "3.."}}, "- attempts.lb: expected 3.., measured 2"),
        ({"attempts": {"cdn": 1}}, "+ attempts.cdn: 1"),
        ({"hops": {"lb": {"generated": True}}}, "+ hops.lb.generated: yes"),
        ({"hops": {"cdn": {"generated": True}}}, "- hops.cdn.generated: expected yes, measured no"),
        ({"hops": {"lb": {"error": "none"}}}, "- hops.lb.error: expected none, measured connection_refused"),
        ({"hops": {"cdn": {"error": "none"}}}, "+ hops.cdn.error: none"),
        ({"hops": {"lb": {"status": "5xx"}}}, "+ hops.lb.status: 502"),
        ({"hops": {"lb": {"attempts": 2}}}, "+ hops.lb.attempts: 2"),
    ],
)
def test_each_expectation_says_what_was_measured(expect: dict[str, Any], told: str) -> None:
    assert checks(expect, FAILED) == [told]


def test_who_decided_a_cut_response_is_told_by_the_records() -> None:
    assert decision(CUT) == ("app", "http_response_incomplete")
    assert checks({"truncated": True, "error": "http_response_incomplete", "decided_by": "app"}, CUT) == [
        "+ decided_by: app",
        "+ error: http_response_incomplete",
        "+ truncated: yes: received 3 of 9 bytes",
    ]


def test_no_response_is_said_in_words() -> None:
    nothing = Seen(Answer(failure="refused", details="Connection refused"))
    assert checks({"status": 502, "decided_by": "lb", "hops": {"lb": {}}, "first_bytes": "x"}, nothing) == [
        "- status: expected 502, measured none (refused: Connection refused)",
        "- decided_by: expected lb, measured nobody: there was no response",
        "- first_bytes: expected contain 'x', measured none kept",
        "- hops.lb: expected an exchange, measured lb has no record of this request",
    ]
    assert checks({"status": "none", "failure": "refused"}, nothing)[1] == "+ failure: refused"


def test_a_response_without_a_body_has_no_first_byte_in_time() -> None:
    empty = Seen(Answer(status=204, elapsed=0.01))
    assert checks({"body_begins_within": "10s"}, empty) == ["- body_begins_within: expected 10s, measured no body"]


def test_of_several_requests_the_first_that_fails_is_shown() -> None:
    expect = Expectation.model_validate({"status": 502})
    other = Seen(Answer(status=200))
    found, shown = first_unmet(expect, [FAILED, other, other])
    assert shown is other
    assert [str(check) for check in found] == ["request 2 of 3: status: expected 502, measured 200"]
    found, shown = first_unmet(expect, [FAILED, FAILED])
    assert shown is FAILED
    assert all(check.held for check in found)


def test_nothing_expected_is_nothing_checked() -> None:
    assert checks({}, FAILED) == []
