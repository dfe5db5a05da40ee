from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.admission import ClientRateLimitSettings, TokenBucketSettings
from badgateway_proxy.policies.token_bucket import ClientBuckets, Taken, TokenBucket, rate_limit_fields


def settings(**changes: Any) -> TokenBucketSettings:
    return TokenBucketSettings.model_validate({"max_tokens": 3, "tokens_per_fill": 2, "fill_interval": "1s"} | changes)


def clients(**changes: Any) -> ClientBuckets:
    given = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "1m"}
    return ClientBuckets(ClientRateLimitSettings.model_validate(given | changes))


def test_a_burst_is_as_large_as_the_bucket() -> None:
    bucket = TokenBucket(settings(), 10.0)
    assert [bucket.take(10.0).remaining for _ in range(3)] == [2, 1, 0]
    assert bucket.take(10.0) == Taken(allowed=False, remaining=0, wait=0.5)


def test_tokens_come_back_at_an_even_pace_up_to_the_size() -> None:
    bucket = TokenBucket(settings(), 0.0)
    for _ in range(3):
        bucket.take(0.0)
    assert not bucket.take(0.4).allowed
    assert bucket.take(0.5).allowed
    assert bucket.take(3600.0).remaining == 2


def test_a_clock_that_was_set_back_gives_nothing_and_takes_nothing() -> None:
    bucket = TokenBucket(settings(), 100.0)
    assert [bucket.take(0.0).allowed for _ in range(4)] == [True, True, True, False]


@given(
    size=st.integers(1, 50),
    fill=st.integers(1, 50),
    interval=st.sampled_from(["100ms", "1s", "7s"]),
    steps=st.lists(st.floats(0, 5), max_size=200),
)
def test_never_more_than_the_bucket_and_what_came_back(size: int, fill: int, interval: str, steps: list[float]) -> None:
    used = settings(max_tokens=size, tokens_per_fill=fill, fill_interval=interval)
    bucket, now, allowed = TokenBucket(used, 0.0), 0.0, 0
    for step in steps:
        now += step
        allowed += bucket.take(now).allowed
    assert allowed <= size + now * fill / used.fill_interval + 1e-3


@given(steps=st.lists(st.floats(0, 0.4), min_size=1, max_size=60))
def test_who_waits_as_told_is_served(steps: list[float]) -> None:
    bucket, now = TokenBucket(settings(max_tokens=1), 0.0), 0.0
    for step in steps:
        now += step
        taken = bucket.take(now)
        if not taken.allowed:
            now += taken.wait
            assert bucket.take(now).allowed


def test_each_client_has_a_bucket_of_its_own() -> None:
    buckets = clients()
    assert buckets.take(b"a", 0.0).allowed
    assert not buckets.take(b"a", 0.0).allowed
    assert buckets.take(b"b", 0.0).allowed


def test_no_more_clients_are_remembered_than_may_be_and_the_one_not_seen_for_longest_goes() -> None:
    buckets = clients(clients=2)
    buckets.take(b"a", 0.0)
    buckets.take(b"b", 0.0)
    buckets.take(b"a", 0.0)  # refused, but seen
    buckets.take(b"c", 0.0)
    assert len(buckets) == 2
    assert not buckets.take(b"a", 0.0).allowed
    assert buckets.take(b"b", 0.0).allowed, "it was forgotten"


@given(st.lists(st.integers(0, 500), max_size=300))
def test_memory_is_bounded_whoever_comes(arrivals: list[int]) -> None:
    buckets = clients(clients=16)
    for client in arrivals:
        buckets.take(b"%d" % client, 0.0)
    assert len(buckets) <= 16


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        ({}, b'"client";q=3;w=2'),
        ({"fill_interval": "1m"}, b'"client";q=3;w=90'),
        ({"tokens_per_fill": 3, "fill_interval": "1m"}, b'"client";q=3;w=60'),
        ({"fill_interval": "250ms"}, b'"client";q=3;w=1'),
        ({"max_tokens": 100, "tokens_per_fill": 1_000_000, "fill_interval": "1ms"}, b'"client";q=100;w=1'),
        ({"max_tokens": 11, "tokens_per_fill": 10, "fill_interval": "100s"}, b'"client";q=11;w=110'),
    ],
)
def test_the_policy_field_says_how_many_in_which_window(changes: dict[str, Any], policy: bytes) -> None:
    fields = dict(rate_limit_fields("client", settings(**changes), Taken(allowed=True, remaining=2, wait=0.2)))
    assert fields == {b"RateLimit-Policy": policy, b"RateLimit": b'"client";r=2;t=1'}


@given(
    size=st.integers(1, 1_000_000),
    fill=st.integers(1, 1_000_000),
    interval=st.sampled_from(["1ms", "250ms", "1s", "1m", "24h"]),
    steps=st.lists(st.floats(0, 90), min_size=1, max_size=20),
)
def test_no_more_is_left_than_the_quota_and_the_window_promises_no_more_than_comes_back(
    size: int, fill: int, interval: str, steps: list[float]
) -> None:
    """The draft's section on resource exhaustion: a client may go by q, w, r and t."""
    used = settings(max_tokens=size, tokens_per_fill=fill, fill_interval=interval)
    bucket, now = TokenBucket(used, 0.0), 0.0
    for step in steps:
        now += step
        (_, policy), (_, left) = rate_limit_fields("client", used, bucket.take(now))
        quota, window = (int(part[2:]) for part in policy.split(b";")[1:])
        remaining, wait = (int(part[2:]) for part in left.split(b";")[1:])
        assert 0 <= remaining <= quota
        assert window >= 1
        assert quota <= window * fill / used.fill_interval * (1 + 1e-6)
        assert 0 <= wait <= math.ceil(used.fill_interval / fill) or remaining == quota
