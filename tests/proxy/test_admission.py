"""What a hop answers before it asks any endpoint: on the wire, in the record, and as the clock runs on."""

from __future__ import annotations

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
        assert (first.status, first.one("RateLimit")) == (200, b'"client";r=1;t=60')
        assert first.one("RateLimit-Policy") == b'"client";q=1;w=60'
        assert (await get(hop, "x-api-key: a")).one("RateLimit") == b'"client";r=0;t=60'
        refused = await get(hop, "X-API-Key: a")
        assert (refused.status, refused.error) == (429, "http_request_error")
        assert refused.members[-1].params["status-code"] == 429
        assert (refused.one("Retry-After"), refused.one("RateLimit")) == (b"60", b'"client";r=0;t=60')
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
        assert sorted(answer.all("RateLimit")) == [b'"app";r=9;t=1', b'"client";r=0;t=60']


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
