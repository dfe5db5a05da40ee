"""Does a client that retries do what Retry-After says? urllib3's Retry, in front of a breaker that is open.

The client under test stands first; in a project of yours it would be imported.
"""

import time

import pytest
import urllib3
from urllib3.exceptions import MaxRetryError

from badgateway.testing import Lab


def make_client(patience: int = 3) -> urllib3.PoolManager:
    """The client under test: it comes back after a 502, 503 or 504, when it is told to."""
    retry = urllib3.Retry(
        total=patience,
        status_forcelist=[502, 503, 504],
        respect_retry_after_header=True,
        backoff_factor=0.05,
    )
    return urllib3.PoolManager(retries=retry)


def test_one_bad_answer_is_not_passed_on(badgateway: Lab) -> None:
    with badgateway.fault("app", "reset_before_response", first=1, instance="app-1") as fault:
        with make_client() as client:
            for _ in range(2):  # the LB takes turns: one of these meets app-1
                assert client.request("GET", f"{badgateway.url}/products").status == 200
        assert fault.fired == 1
    assert len(badgateway.exchanges()) == 3


def test_retry_after_is_honoured(badgateway: Lab) -> None:
    badgateway.hop("lb").patch(breaker={"enabled": True, "open_for": "1s"})
    badgateway.hop("lb").breaker("force_open")
    started = time.monotonic()
    with make_client(patience=1) as client, pytest.raises(MaxRetryError, match="too many 503"):
        client.request("GET", f"{badgateway.url}/products")
    first, second = badgateway.exchanges(decided_by="lb")
    assert first.retry_after == 1
    assert second.hops[0]["started"] - first.hops[0]["started"] >= 1
    assert time.monotonic() - started >= 1


def test_a_gateway_that_stays_bad_is_given_up_after_three_retries(badgateway: Lab) -> None:
    badgateway.fault("app", "garbage")
    with make_client() as client, pytest.raises(MaxRetryError, match="too many 502"):
        client.request("GET", f"{badgateway.url}/products")
    assert [exchange.status for exchange in badgateway.exchanges()] == [502] * 4


def test_an_order_is_never_sent_twice(badgateway: Lab) -> None:
    badgateway.fault("app", "reset_before_response")
    with make_client() as client:
        answer = client.request("POST", f"{badgateway.url}/orders", json={"product_id": 1, "quantity": 1})
    assert answer.status == 502
    assert len(badgateway.exchanges()) == 1
