"""What a hop answers before it asks any endpoint: on the wire, in the record, and as the clock runs on."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

from badgateway_proxy.configuration.config import merge_patch
from tests.support.answers import Answer, read_answer
from tests.support.peers import OK, says
from tests.support.wire import RunningHop, raw_upstream, running_hop

ONCE_A_MINUTE = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "1m"}


async def get(hop: RunningHop, *lines: str) -> Answer:
    return read_answer(await hop.get("/", *lines))


def patch(hop: RunningHop, change: dict[str, Any]) -> None:
    hop.hop.apply_config(merge_patch(hop.hop.config, change))


async def test_a_hop_that_is_asked_nothing_asks_nothing() -> None:
    async with running_hop("127.0.0.1:9") as hop:
        assert hop.hop.admission is None


async def test_maintenance_is_a_503_of_the_hop_that_asks_no_endpoint() -> None:
    async with raw_upstream(says(OK)) as upstream, running_hop(upstream.address) as hop:
        assert (await get(hop)).status == 200
        patch(hop, {"maintenance": {"enabled": True, "lasts": "30m", "message": "New disks."}})
        answer = await get(hop)
        assert (answer.status, answer.error, answer.one("Retry-After")) == (503, "proxy_internal_response", b"1800")
        assert (answer.problem["detail"], answer.problem["retry_after"]) == ("New disks.", 1800)
        assert answer.one("Cache-Control") == b"no-store"
        hop.hop.clock.advance(1200)
        assert int((await get(hop)).one("Retry-After") or 0) in (599, 600)
        patch(hop, {"maintenance": None})
        assert (await get(hop)).status == 200
        assert upstream.connections == 2
        _, record, *_ = await hop.records(4)
        assert (record["generated"], record["details"], record["attempts"]) == (True, "maintenance", [])
        assert record["retry_after"] == 1800


async def test_maintenance_may_say_when_as_a_date() -> None:
    async with running_hop("127.0.0.1:9", maintenance={"enabled": True, "lasts": "30m", "retry_after": "date"}) as hop:
        answer = await get(hop)
        when, now = (parsedate_to_datetime((answer.one(name) or b"").decode()) for name in ("Retry-After", "Date"))
        assert (when - now).total_seconds() == 1800
        hop.hop.clock.advance(900)
        answer = await get(hop)
        when, now = (parsedate_to_datetime((answer.one(name) or b"").decode()) for name in ("Retry-After", "Date"))
        assert (when - now).total_seconds() in (899, 900)


async def test_maintenance_goes_on_counting_when_something_else_is_changed() -> None:
    async with running_hop("127.0.0.1:9", maintenance={"enabled": True, "lasts": "10m"}) as hop:
        hop.hop.clock.advance(300)
        patch(hop, {"debug": True})
        assert int((await get(hop)).one("Retry-After") or 0) in (299, 300)
        hop.hop.reset()
        assert (await get(hop)).one("Retry-After") == b"600"


async def test_a_server_that_gets_too_much_says_503_and_when() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, rate_limit={"server": ONCE_A_MINUTE}) as hop,
    ):
        assert (await get(hop)).status == 200
        answer = await get(hop)
        assert (answer.status, answer.error) == (503, "proxy_internal_response")
        assert (answer.one("Retry-After"), answer.one("RateLimit")) == (b"60", None)
        assert answer.problem["details"] == "the rate limit of the whole server is reached"
        hop.hop.clock.advance(60)
        assert (await get(hop)).status == 200


async def test_a_client_that_sends_too_much_gets_429_and_others_do_not() -> None:
    limit = ONCE_A_MINUTE | {"key_header": "X-API-Key", "max_tokens": 2}
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, rate_limit={"client": limit}) as hop,
    ):
        first = await get(hop, "X-API-Key: a")
        assert (first.status, first.one("RateLimit")) == (200, b'"lb-client";r=1;t=60')
        assert first.one("RateLimit-Policy") == b'"lb-client";q=2;w=120'
        assert (await get(hop, "x-api-key: a")).one("RateLimit") == b'"lb-client";r=0;t=60'
        refused = await get(hop, "X-API-Key: a")
        assert (refused.status, refused.error) == (429, "http_request_error")
        assert refused.members[-1].params["status-code"] == 429
        assert (refused.one("Retry-After"), refused.one("RateLimit")) == (b"60", b'"lb-client";r=0;t=60')
        assert (await get(hop, "X-API-Key: b")).status == 200
        assert (await get(hop)).status == 200, "without a key it is the address that counts"
        assert upstream.connections == 1


async def test_what_one_client_may_not_send_costs_the_others_nothing() -> None:
    limits = {"client": ONCE_A_MINUTE | {"key_header": "X-API-Key"}, "server": ONCE_A_MINUTE | {"max_tokens": 2}}
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, rate_limit=limits) as hop,
    ):
        got = [(await get(hop, f"X-API-Key: {key}")).status for key in "aaaabc"]
        assert got == [200, 429, 429, 429, 200, 503]


async def test_a_refusal_leaves_the_connection_as_it_was() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, rate_limit={"client": ONCE_A_MINUTE}) as hop,
        hop.client() as client,
    ):
        await client.get("/")
        assert await client.answer() == b"ok"
        await client.get("/")
        assert b"429" in await client.answer()
        hop.hop.clock.advance(60)
        await client.get("/")
        assert await client.answer() == b"ok"


async def test_a_refused_body_is_not_taken_for_the_next_request() -> None:
    async with running_hop("127.0.0.1:9", maintenance={"enabled": True}) as hop, hop.client() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nGET / HTTP/1.1\r\n")
        answer = read_answer(await client.all())
        assert (answer.status, answer.one("Connection")) == (503, b"close")
        assert (await hop.record())["method"] == "POST"


async def test_an_upstream_that_has_limits_of_its_own_keeps_its_fields() -> None:
    limited = OK.replace(b"\r\n\r\n", b'\r\nRateLimit: "app";r=9;t=1\r\n\r\n')
    async with (
        raw_upstream(says(limited)) as upstream,
        running_hop(upstream.address, rate_limit={"client": ONCE_A_MINUTE}) as hop,
    ):
        answer = await get(hop)
        assert sorted(answer.all("RateLimit")) == [b'"app";r=9;t=1', b'"lb-client";r=0;t=60']


async def test_a_clients_bucket_survives_a_change_elsewhere_and_not_one_of_its_own() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, rate_limit={"client": ONCE_A_MINUTE}) as hop,
    ):
        assert (await get(hop)).status == 200
        patch(hop, {"rate_limit": {"server": {"max_tokens": 100, "tokens_per_fill": 100}}})
        assert (await get(hop)).status == 429
        patch(hop, {"rate_limit": {"client": {"max_tokens": 2}}})
        assert (await get(hop)).status == 200


LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000


async def test_bytes_are_counted_until_the_cap_is_reached_and_the_period_ends() -> None:
    async with (
        raw_upstream(says(LARGE, then="again")) as upstream,
        running_hop(upstream.address, bandwidth_cap={"bytes": 5000, "period": "1h"}) as hop,
    ):
        sent = b"".join([await hop.get() for _ in range(3)])
        assert hop.hop.state()["admission"]["bandwidth_cap"]["used"] == len(sent), "heads and bodies"
        answer = await get(hop)
        assert (answer.status, answer.error) == (509, "proxy_internal_response")
        assert answer.line == b"HTTP/1.1 509 Bandwidth Limit Exceeded"
        assert 3590 < int(answer.one("Retry-After") or 0) <= 3600
        assert hop.hop.state()["admission"]["bandwidth_cap"]["used"] == len(sent), "a refusal is not the site's traffic"
        hop.hop.clock.advance(3600)
        assert (await get(hop)).status == 200
        assert upstream.connections == 1


async def test_a_larger_cap_goes_on_with_what_was_used() -> None:
    async with (
        raw_upstream(says(LARGE, then="again")) as upstream,
        running_hop(upstream.address, bandwidth_cap={"bytes": 1000, "period": "1h"}) as hop,
    ):
        assert [(await get(hop)).status for _ in range(2)] == [200, 509]
        patch(hop, {"bandwidth_cap": {"bytes": 3000}})
        assert [(await get(hop)).status for _ in range(2)] == [200, 509]


async def test_a_streamed_response_is_counted_as_it_passes() -> None:
    go = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    async with (
        raw_upstream(says(head + chunk, go, chunk + b"0\r\n\r\n")) as upstream,
        running_hop(upstream.address, bandwidth_cap={"bytes": 1000, "period": "1h"}) as hop,
        hop.client() as client,
    ):
        await client.get("/")
        await client.until(b"x" * 1000)
        used = hop.hop.state()["admission"]["bandwidth_cap"]["used"]
        assert 1000 <= used < 2000
        assert (await get(hop)).status == 509, "while the first one is still being sent"
        go.set()
        await client.until(b"0\r\n\r\n")
        assert hop.hop.state()["admission"]["bandwidth_cap"]["used"] >= used + 1000


PORTAL = {"enabled": True, "path": "/login", "session": "10m", "key_header": "X-Client"}


async def test_nobody_passes_a_portal_before_the_login_and_everybody_after() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, captive_portal=PORTAL) as hop,
    ):
        refused = read_answer(await hop.get("/products?a=b", "X-Client: 1", "Accept: text/html"))
        assert (refused.status, refused.error) == (511, "proxy_internal_response")
        link = b"/login?next=%2Fproducts%3Fa%3Db"
        assert b'<a href="%b">' % link in refused.body
        assert b'<meta http-equiv="refresh" content="0; url=%b">' % link in refused.body
        assert b"<form" not in refused.body, "RFC 6585 section 6: not the login interface itself"
        form = read_answer(await hop.get(link.decode(), "X-Client: 1"))
        assert (form.status, form.one("Cache-Control")) == (200, b"no-store")
        assert b'<form method="post" action="%b">' % link in form.body
        assert (await get(hop, "X-Client: 1")).status == 511, "to look at the form is no login"
        done = read_answer(await hop.get(link.decode(), "X-Client: 1", "Content-Length: 0", method="POST"))
        assert (done.status, done.one("Location"), done.data) == (303, b"/products?a=b", b"")
        assert (await get(hop, "X-Client: 1")).status == 200
        assert (await get(hop, "X-Client: 2")).status == 511
        assert (await get(hop)).status == 511
        hop.hop.clock.advance(600)
        assert (await get(hop, "X-Client: 1")).status == 511
        assert upstream.connections == 1


async def test_a_program_is_told_where_to_log_in() -> None:
    async with running_hop("127.0.0.1:9", captive_portal=PORTAL) as hop:
        problem = read_answer(await hop.get("/a", method="POST")).problem
        assert (problem["status"], problem["title"]) == (511, "Network Authentication Required")
        assert problem["login"] == "/login?next=%2F", "what was sent with a POST is not sent again by a GET"


async def test_the_login_page_knows_its_methods() -> None:
    async with running_hop("127.0.0.1:9", captive_portal=PORTAL) as hop:
        answer = read_answer(await hop.get("/login", method="DELETE"))
        assert (answer.status, answer.error, answer.one("Allow")) == (405, "http_request_error", b"GET, HEAD, POST")


async def test_without_a_header_it_is_the_address_that_is_logged_in() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address, captive_portal={"enabled": True}) as hop,
    ):
        assert (await get(hop)).status == 511
        assert read_answer(await hop.get("/captive-portal/login", method="POST")).status == 303
        assert (await get(hop)).status == 200
