"""A hop with a cache serves what is stale: while it is fetched anew, or because the upstream fails (RFC 5861)."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.support.origin import Parts, age, cached, how, made, not_modified, ttl
from tests.support.processes import until

SIE = "Cache-Control: max-age=10, stale-if-error=60"
SWR = "Cache-Control: max-age=10, stale-while-revalidate=30"
ETAG = 'ETag: "a"'
BROKEN = made(status="503 Service Unavailable", body=b"sorry")


# -- stale-while-revalidate ----------------------------------------------------------------------------


async def test_a_stale_response_is_served_at_once_while_it_is_fetched_anew() -> None:
    go_on = asyncio.Event()
    async with cached(made(SWR), (go_on, made(SWR, body=b"news"))) as shop:
        await shop.get()
        shop.advance(15)
        for _ in range(3):
            answer = await shop.get()
            assert (answer.data, how(answer)) == (b"body", "hit")
            assert 15 <= age(answer) < 25
            assert age(answer) + ttl(answer) == 9  # both are rounded down
        assert len(shop.origin.requests) == 2  # one fetches it, however many are served
        go_on.set()
        await until(lambda: not shop.hop.hop.in_flight)
        answer = await shop.get()
        assert (answer.data, how(answer)) == (b"news", "hit")
        records = await shop.hop.records(6)
        assert [record["cache"] for record in records].count("stale") == 3
        (behind,) = (record for record in records if record["cache"] == "expired")
        assert (behind["status"], len(behind["attempts"])) == (200, 1)
        assert behind["request_id"] not in {record["request_id"] for record in records if record is not behind}


async def test_it_is_asked_about_by_its_validator_and_without_the_clients_conditions() -> None:
    async with cached(made(SWR, ETAG), not_modified(SWR, ETAG)) as shop:
        await shop.get()
        shop.advance(15)
        answer = await shop.get("/", "Range: bytes=0-1", 'If-Range: "a"', "X-Other: 1")
        assert (answer.status, answer.data) == (206, b"bo")
        await until(lambda: not shop.hop.hop.in_flight)
        assert shop.origin.asked("If-None-Match") == b'"a"'
        assert [shop.origin.asked(name) for name in ("Range", "If-Range", "X-Other")] == [None, None, b"1"]
        assert 0 <= age(await shop.get()) < 10


async def test_a_refresh_counts_against_nobodys_rate() -> None:
    bucket = {"max_tokens": 2, "tokens_per_fill": 1, "fill_interval": "1h"}
    async with cached(made(SWR), made(SWR, body=b"news"), rate_limit={"client": bucket}) as shop:
        await shop.get()
        shop.advance(15)
        assert how(await shop.get()) == "hit"
        await until(lambda: not shop.hop.hop.in_flight)
        assert len(shop.origin.requests) == 2


async def test_a_head_too_has_all_of_it_fetched() -> None:
    async with cached(made(SWR), made(SWR, body=b"news")) as shop:
        await shop.get()
        shop.advance(15)
        assert how(await shop.get(method="HEAD")) == "hit"
        await until(lambda: not shop.hop.hop.in_flight)
        assert shop.origin.requests[-1].startswith(b"GET / ")
        assert (await shop.get()).data == b"news"


async def test_a_refresh_that_fails_leaves_what_is_stored_and_the_next_one_tries_again() -> None:
    async with cached(made(SWR), BROKEN, cache={"negative": {"ttl": "5s"}, "stale_if_error": "60s"}) as shop:
        await shop.get()
        shop.advance(15)
        for number in (2, 3):
            assert (await shop.get()).data == b"body"
            await until(lambda: not shop.hop.hop.in_flight)
            assert len(shop.origin.requests) == number


async def test_behind_the_window_it_waits_for_the_origin() -> None:
    async with cached(made(SWR), made(SWR, body=b"news")) as shop:
        await shop.get()
        shop.advance(40)
        answer = await shop.get()
        assert (answer.data, how(answer)) == (b"news", "fwd=stale")


async def test_a_client_may_take_what_is_stale() -> None:
    async with cached(made("Cache-Control: max-age=10")) as shop:
        await shop.get()
        shop.advance(15)
        assert how(await shop.get("/", "Cache-Control: max-stale=20")) == "hit"
        assert how(await shop.get("/", "Cache-Control: only-if-cached, max-stale")) == "hit"
        assert (await shop.get("/", "Cache-Control: only-if-cached")).status == 504


# -- stale-if-error ------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["500 Internal Server Error", "502 Bad Gateway", "503 Busy", "504 Gateway Timeout"])
async def test_what_is_stale_stands_in_for_an_error_that_is_received(failure: str) -> None:
    async with cached(made(SIE), made("Proxy-Status: lb; error=x", status=failure, body=b"x" * 300_000)) as shop:
        await shop.get()
        shop.advance(20)
        for _ in range(2):  # it is tried each time
            answer = await shop.get()
            assert (answer.status, answer.data) == (200, b"body")
            assert 20 <= age(answer) < 30
            status = failure[:3]
            member = rf"cdn; fwd=stale; fwd-status={status}; ttl=-1[0-9]; detail=stale-if-error"
            assert re.fullmatch(member.encode(), answer.one("Cache-Status") or b"")
            assert [each.name for each in answer.members] == ["lb", "cdn"]
            assert answer.members[-1].received_status == int(status)
        assert len(shop.origin.requests) == 3
        *_, record = await shop.hop.records(3)
        assert (record["cache"], record["status"], record["generated"]) == ("stale", 200, False)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((b"",), "connection_terminated"),
        ((b"HTTP/1.1 200 OK\r\nContent-", b""), "http_response_incomplete"),
        ((b"garbage\r\n\r\n",), "http_protocol_error"),
        ((asyncio.Event(),), "http_response_timeout"),
    ],
)
async def test_and_for_one_that_happens_on_the_way(reply: Parts, error: str) -> None:
    async with cached(made(SIE), reply, timeouts={"first_byte": "500ms"}) as shop:
        await shop.get()
        shop.advance(20)
        answer = await shop.get()
        assert (answer.status, answer.data) == (200, b"body")
        assert how(answer) == "fwd=stale detail=stale-if-error"
        assert (answer.members[-1].name, answer.error) == ("cdn", error)
        *_, record = await shop.hop.records(2)
        assert (record["cache"], record["error"], record["attempts"][0]["error"]) == ("stale", None, error)


async def test_and_for_an_origin_that_is_gone_or_a_breaker_that_is_open() -> None:
    async with cached(made(SIE)) as shop:
        await shop.get()
        shop.advance(20)
        hop = shop.hop.hop
        hop.breaker.force_open(hop.clock.now())
        answer = await shop.get()
        assert (answer.status, answer.data, answer.error) == (200, b"body", "destination_unavailable")
        assert how(answer) == "fwd=stale detail=stale-if-error"
        assert len(shop.origin.requests) == 1


async def test_it_ends() -> None:
    async with cached(made(SIE), BROKEN) as shop:
        await shop.get()
        shop.advance(70)
        answer = await shop.get()
        assert (answer.status, answer.data, how(answer)) == (503, b"sorry", "fwd=stale")


@pytest.mark.parametrize("more", ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"])
async def test_it_is_not_past_what_must_be_validated(more: str) -> None:
    async with cached(made(f"{SIE}, {more}", ETAG), BROKEN, cache={"stale_if_error": "60s"}) as shop:
        await shop.get()
        shop.advance(20)
        assert (await shop.get()).status == 503


async def test_without_it_an_error_is_an_error() -> None:
    async with cached(made("Cache-Control: max-age=10"), BROKEN) as shop:
        await shop.get()
        shop.advance(20)
        assert (await shop.get()).status == 503


async def test_a_setting_or_the_client_may_allow_it_too() -> None:
    async with cached(made("Cache-Control: max-age=10"), BROKEN, cache={"stale_if_error": "30s"}) as shop:
        await shop.get()
        shop.advance(20)
        assert (await shop.get()).status == 200
        shop.advance(40)
        assert (await shop.get()).status == 503
        assert (await shop.get("/", "Cache-Control: stale-if-error=100")).status == 200


async def test_retries_come_first() -> None:
    settings = {"attempts": 2, "on": ["5xx"], "backoff": {"base": "0s", "max": "0s"}}
    async with cached(made(SIE), BROKEN, made(SIE, body=b"news"), retry=settings) as shop:
        await shop.get()
        shop.advance(20)
        assert (await shop.get()).data == b"news"


async def test_client_errors_are_answers() -> None:
    async with cached(made(SIE), made(status="404 Not Found", body=b"gone")) as shop:
        await shop.get()
        shop.advance(20)
        assert (await shop.get()).status == 404
