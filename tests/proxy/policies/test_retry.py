from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.settings import IDEMPOTENT_METHODS, RetrySettings
from badgateway_proxy.error_types import ERROR_TABLE, ErrorType, RetryCondition
from badgateway_proxy.errors import Phase
from badgateway_proxy.policies.retry import Retry, RetryPolicy, Stop


def policy(**changes: Any) -> RetryPolicy:
    return RetryPolicy(RetrySettings.model_validate({"attempts": 3} | changes))


def decide(tried: RetryPolicy, **changes: Any) -> Retry | Stop:
    facts: dict[str, Any] = {
        "attempt": 1,
        "method": "GET",
        "error": ErrorType.CONNECTION_REFUSED,
        "status": None,
        "phase": Phase.CONNECT,
        "request_replayable": True,
        "head_sent": False,
        "retry_after": None,
        "rand": 0.0,
    }
    return tried.decide(**(facts | changes))


def test_is_off_by_default() -> None:
    assert decide(RetryPolicy(RetrySettings())) == Stop("retries are off")


def test_a_refused_connection_is_tried_again_until_attempts_are_used_up() -> None:
    tried = policy()
    assert decide(tried, attempt=1) == Retry(0.025)
    assert decide(tried, attempt=2) == Retry(0.05)
    assert decide(tried, attempt=3) == Stop("attempts used up")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"head_sent": True}, "head"),
        ({"request_replayable": False}, "cannot be sent again"),
        ({"method": "POST"}, "POST is not retried"),
        ({"method": "PATCH"}, "PATCH is not retried"),
        ({"method": "get"}, "get is not retried"),
        ({"error": ErrorType.DESTINATION_UNAVAILABLE, "phase": Phase.CLIENT}, "destination_unavailable is not"),
        ({"error": ErrorType.HTTP_PROTOCOL_ERROR, "phase": Phase.WAIT}, "http_protocol_error is not"),
        ({"error": None, "status": 503, "phase": Phase.RECEIVE}, "503 is not"),
        ({"error": None, "status": None}, "None is not"),
        ({"error": ErrorType.PROXY_INTERNAL_ERROR}, "proxy_internal_error is not"),
    ],
)
def test_says_why_not(changes: dict[str, Any], reason: str) -> None:
    decision = decide(policy(), **changes)
    assert isinstance(decision, Stop)
    assert reason in decision.reason


@pytest.mark.parametrize("method", IDEMPOTENT_METHODS)
def test_idempotent_methods_are_tried_again(method: str) -> None:
    assert isinstance(decide(policy(), method=method), Retry)


def test_any_method_if_told() -> None:
    assert isinstance(decide(policy(methods="any"), method="POST"), Retry)
    assert isinstance(decide(policy(methods=["POST"]), method="POST"), Retry)
    assert isinstance(decide(policy(methods=["POST"]), method="GET"), Stop)


@pytest.mark.parametrize(
    ("on", "error", "status", "phase", "again"),
    [
        ("connect-failure", "connection_refused", None, "connect", True),
        ("connect-failure", "connection_timeout", None, "connect", True),
        ("connect-failure", "connection_terminated", None, "connect", True),
        ("connect-failure", "connection_terminated", None, "wait", False),
        ("connect-failure", "http_response_timeout", None, "wait", False),
        ("connect-failure", "tls_alert_received", None, "connect", True),
        ("connect-failure", "tls_alert_received", None, "wait", False),
        ("reset", "tls_alert_received", None, "wait", True),
        ("reset", "tls_certificate_error", None, "connect", False),
        ("refused", "connection_refused", None, "connect", True),
        ("refused", "connection_timeout", None, "connect", False),
        ("refused", "connection_terminated", None, "wait", False),
        ("refused", None, 503, "receive", False),
        ("retriable-status-codes", None, 503, "receive", False),
        ("reset", "connection_terminated", None, "wait", True),
        ("reset", "http_response_incomplete", None, "receive", True),
        ("reset", "connection_refused", None, "connect", False),
        ("reset", "http_response_timeout", None, "wait", False),
        ("timeout", "http_response_timeout", None, "wait", True),
        ("timeout", "connection_write_timeout", None, "send", True),
        ("timeout", "connection_timeout", None, "connect", False),
        ("gateway-error", "http_protocol_error", None, "wait", True),
        ("gateway-error", "connection_refused", None, "connect", True),
        ("gateway-error", None, 502, "receive", True),
        ("gateway-error", None, 503, "receive", True),
        ("gateway-error", None, 504, "receive", True),
        ("gateway-error", None, 500, "receive", False),
        ("gateway-error", "destination_unavailable", None, "client", False),
        ("5xx", None, 500, "receive", True),
        ("5xx", None, 503, "receive", True),
        ("5xx", None, 404, "receive", False),
        ("5xx", "http_response_timeout", None, "wait", True),
        ("5xx", "proxy_loop_detected", None, "client", False),
        ("timeout", None, 504, "receive", False),
    ],
)
def test_conditions(on: RetryCondition, error: str | None, status: int | None, phase: str, again: bool) -> None:
    kind = None if error is None else ErrorType(error)
    decision = decide(policy(on=[on]), error=kind, status=status, phase=Phase(phase))
    assert isinstance(decision, Retry) is again


@pytest.mark.parametrize(
    ("on", "statuses", "status", "again"),
    [
        (["retriable-status-codes"], [429, 503], 429, True),
        (["retriable-status-codes"], [429, 503], 503, True),
        (["retriable-status-codes"], [429, 503], 502, False),
        (["retriable-status-codes"], [503], 404, False),
        (["5xx"], [429], 429, False),
        (["5xx", "retriable-status-codes"], [429], 500, True),
        (["5xx", "retriable-status-codes"], [429], 430, False),
    ],
)
def test_statuses_by_number(on: list[str], statuses: list[int], status: int, again: bool) -> None:
    tried = policy(on=on, statuses=statuses)
    decision = decide(tried, error=None, status=status, phase=Phase.RECEIVE)
    assert isinstance(decision, Retry) is again
    # An exchange asks only about what is not below this.
    assert not again or status >= tried.least_status


def test_says_whether_there_is_ever_a_second_attempt() -> None:
    assert policy().enabled
    assert not RetryPolicy(RetrySettings()).enabled


@pytest.mark.parametrize("error", [error for error, info in ERROR_TABLE.items() if info.retry_condition is None])
def test_what_the_table_excludes_is_never_tried_again(error: ErrorType) -> None:
    everything = policy(on=["connect-failure", "refused", "reset", "timeout", "gateway-error", "5xx"], methods="any")
    for phase in Phase:
        assert isinstance(decide(everything, error=error, phase=phase), Stop)


@pytest.mark.parametrize(
    ("attempt", "jitter", "rand", "delay"),
    [
        (1, 0, 0.9, 0.1),
        (2, 0, 0.9, 0.2),
        (3, 0, 0.9, 0.4),
        (5, 0, 0.9, 1.0),
        (90, 0, 0.9, 1.0),
        (1, 1, 0.25, 0.075),
        (1, 0.5, 0.5, 0.075),
    ],
)
def test_backs_off(attempt: int, jitter: float, rand: float, delay: float) -> None:
    tried = policy(attempts=100, backoff={"base": "100ms", "max": "1s", "jitter": jitter})
    decision = decide(tried, attempt=attempt, rand=rand)
    assert isinstance(decision, Retry)
    assert decision.delay == pytest.approx(delay)


@pytest.mark.parametrize(
    ("retry_after", "decision"),
    [
        (0.0, Retry(0.025)),
        (0.2, Retry(0.2)),
        (30.0, Stop("Retry-After asks for more patience than retry.backoff.max")),
    ],
)
def test_honours_retry_after(retry_after: float, decision: Retry | Stop) -> None:
    tried = policy(on=["gateway-error"])
    assert decide(tried, error=None, status=503, phase=Phase.RECEIVE, retry_after=retry_after) == decision


@given(
    st.integers(1, 100),
    st.sampled_from([*IDEMPOTENT_METHODS, "POST"]),
    st.sampled_from([None, *ErrorType]),
    st.none() | st.integers(100, 599),
    st.sampled_from(Phase),
    st.booleans(),
    st.booleans(),
    st.none() | st.floats(0, 1000),
    st.floats(0, 1, exclude_max=True),
)
def test_never_where_it_could_do_harm(
    attempt: int,
    method: str,
    error: ErrorType | None,
    status: int | None,
    phase: Phase,
    replayable: bool,
    head_sent: bool,
    retry_after: float | None,
    rand: float,
) -> None:
    decision = policy(attempts=5, on=["5xx"]).decide(
        attempt=attempt,
        method=method,
        error=error,
        status=status,
        phase=phase,
        request_replayable=replayable,
        head_sent=head_sent,
        retry_after=retry_after,
        rand=rand,
    )
    if isinstance(decision, Retry):
        assert attempt < 5
        assert method != "POST"
        assert replayable
        assert not head_sent
        assert 0 <= decision.delay <= 0.25
