"""What an exchange's record becomes: one SERVER span, and one CLIENT span for each attempt."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from badgateway_proxy.records import AttemptRecord, ExchangeRecord
from badgateway_proxy.tracing.spans import SpanRecord, spans_of
from badgateway_proxy.tracing.trace_context import Trace

START = 1_763_888_888
NONE: frozenset[bytes] = frozenset()


def record(*attempts: AttemptRecord, target: str = "/products?page=2", **changes: object) -> ExchangeRecord:
    made = ExchangeRecord("lb", "lb", "r-1", float(START), "127.0.0.1:5555", "GET", target)
    made.attempts, made.duration = list(attempts), 0.25
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def attempt(**changes: Any) -> AttemptRecord:
    made = AttemptRecord("127.0.0.1:9001", 0.01, connect=0.001, send=0.002, wait=0.03, receive=0.004, phase="receive")
    made.status, made.span_id = 200, 77
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def spans(made: ExchangeRecord, **changes: Any) -> list[SpanRecord]:
    trace = Trace(1, 2, 3, 1, NONE, host="shop.example:8080")
    ids = count(500)
    arguments: dict[str, Any] = {"scheme": "http", "over_tls": NONE, "new_id": lambda: next(ids)} | changes
    return list(spans_of(made, trace, **arguments))


def test_an_exchange_that_went_well() -> None:
    server, client = spans(record(attempt(), status=200))
    assert (server.kind, server.name, server.span_id, server.parent_id) == ("server", "GET", 2, 3)
    assert (server.start, server.end) == (START * 10**9, START * 10**9 + 250_000_000)
    assert (server.failed, server.why) == (False, None)
    assert server.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/products",
        "url.query": "page=2",
        "server.address": "shop.example",
        "server.port": 8080,
        "client.address": "127.0.0.1",
        "client.port": 5555,
        "network.peer.address": "127.0.0.1",
        "http.response.status_code": 200,
        "badgateway.tier": "lb",
        "badgateway.request_id": "r-1",
        "badgateway.breaker": "closed",
        "badgateway.generated": False,
    }
    assert (client.kind, client.name, client.span_id, client.parent_id) == ("client", "GET", 77, 2)
    begun = START * 10**9 + 10_000_000
    assert (client.start, client.end) == (begun, begun + 37_000_000)
    assert client.events == (
        ("connected", begun + 1_000_000),
        ("request_sent", begun + 3_000_000),
        ("response_head", begun + 33_000_000),
    )
    assert not client.failed
    assert client.attributes == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": 9001,
        "url.full": "http://127.0.0.1:9001/products?page=2",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "badgateway.phase": "receive",
        "badgateway.reused": False,
    }


def test_a_retry_is_a_resend_after_an_error() -> None:
    refused = attempt(
        phase="connect", status=None, error="connection_refused", details="refused", span_id=0, connect=0.1
    )
    again = attempt(started=0.2, backoff=0.09, endpoint="[::1]:9002")
    server, first, second = spans(record(refused, again, status=200))
    assert not server.failed
    assert (first.failed, first.why, first.attributes["error.type"]) == (True, "refused", "connection_refused")
    assert first.span_id == 500  # it sent nothing that could have told one
    assert first.events == ()
    assert "http.request.resend_count" not in first.attributes
    assert "http.response.status_code" not in first.attributes
    assert not second.failed
    assert second.attributes["http.request.resend_count"] == 1
    assert second.attributes["badgateway.backoff"] == 0.09
    assert (second.attributes["server.address"], second.attributes["server.port"]) == ("::1", 9002)
    assert second.attributes["url.full"] == "http://[::1]:9002/products?page=2"


@pytest.mark.parametrize(
    ("changes", "failed", "error_type"),
    [
        ({"status": 200}, False, None),
        ({"status": 404}, False, None),
        ({"status": 429, "error": "http_request_denied"}, False, None),
        ({"status": 503}, True, "503"),
        ({"status": 504, "error": "http_response_timeout"}, True, "http_response_timeout"),
        ({"status": 200, "truncated": True, "error": "http_response_incomplete"}, True, "http_response_incomplete"),
        ({"status": None, "client_gone": True}, False, None),
        ({"status": None, "error": "proxy_internal_error"}, True, "proxy_internal_error"),
    ],
)
def test_a_servers_span_has_failed_where_it_was_not_the_clients_doing(
    changes: dict[str, Any], *, failed: bool, error_type: str | None
) -> None:
    (server,) = spans(record(**changes))
    assert (server.failed, server.attributes.get("error.type")) == (failed, error_type)
    assert server.attributes.get("badgateway.error") == changes.get("error")
    assert server.attributes.get("http.response.status_code") == changes["status"]
    for name in ("client_gone", "truncated"):
        assert server.attributes.get(f"badgateway.{name}") == changes.get(name)


@pytest.mark.parametrize(("status", "failed"), [(200, False), (304, False), (404, True), (503, True)])
def test_a_clients_span_has_failed_from_400_on(status: int, *, failed: bool) -> None:
    _, client = spans(record(attempt(status=status), status=status))
    assert client.failed is failed
    assert client.attributes.get("error.type") == (str(status) if failed else None)


def test_what_came_from_the_cache_had_no_attempt() -> None:
    (server,) = spans(record(status=200, cache="hit"))
    assert server.attributes["badgateway.cache"] == "hit"


def test_a_reused_connection_was_not_connected() -> None:
    _, client = spans(record(attempt(reused=True, connect=0.0), status=200))
    assert [name for name, _ in client.events] == ["request_sent", "response_head"]
    assert client.attributes["badgateway.reused"] is True


def test_an_attempt_that_was_given_up_says_why_and_has_not_failed() -> None:
    _, client = spans(record(attempt(phase="wait", status=None, details="given up"), status=200))
    assert not client.failed
    assert client.attributes["badgateway.details"] == "given up"


def test_a_method_of_somebodys_own_names_no_span() -> None:
    server, client = spans(record(attempt(), status=200, method="BREW"))
    for span in (server, client):
        assert span.name == "HTTP"
        assert span.attributes["http.request.method"] == "_OTHER"
        assert span.attributes["http.request.method_original"] == "BREW"


def test_what_is_spoken_is_in_the_scheme() -> None:
    server, client = spans(
        record(attempt(endpoint="app.example"), status=200), scheme="https", over_tls={"app.example"}
    )
    assert server.attributes["url.scheme"] == "https"
    assert client.attributes["url.full"] == "https://app.example/products?page=2"
    assert client.attributes["server.port"] == 443


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", None),
        ("*", "*", None),
        ("http://shop.example/a?b", "/a", "b"),
        ("http://shop.example", "/", None),
        ("/a?Signature=s3cret&x=1&sig=s3cret", "/a", "Signature=REDACTED&x=1&sig=REDACTED"),
        ("/\udcff", "/\ufffd", None),
    ],
)
def test_targets(target: str, path: str, query: str | None) -> None:
    server, client = spans(record(attempt(), target=target, status=200))
    assert (server.attributes["url.path"], server.attributes.get("url.query")) == (path, query)
    assert "s3cret" not in str(client.attributes)
