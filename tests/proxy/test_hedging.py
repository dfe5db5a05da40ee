"""Attempts beside each other, over real sockets: who gets company, who is relayed, what becomes of the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from badgateway_proxy.configuration.config import ConfigError, load_config
from badgateway_proxy.hedging import GIVEN_UP
from tests.support.exchanges import NOW, Scripts, asked, post, status, until_gone
from tests.support.peers import OK, full_backlog, healthy, refused_address, says
from tests.support.processes import until
from tests.support.wire import RunningHop, raw_upstream, running_hop

HEDGED: dict[str, Any] = {
    "attempts": 2,
    "per_try_timeout": "80ms",
    "hedge_on_per_try_timeout": True,
    "on": ["connect-failure", "reset", "timeout", "5xx"],
    "backoff": NOW,
}


def active(hop: RunningHop) -> list[int]:
    return [each["active"] for each in hop.hop.state()["endpoints"]]


async def test_a_late_attempt_gets_company_and_the_faster_one_is_relayed() -> None:
    async with Scripts() as endpoints:
        slow, fast = await endpoints.add(until_gone, healthy)
        async with running_hop(slow, fast, retry=HEDGED) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.data, answer.members[-1].next_hop) == (200, b"ok", fast)
            record = await hop.record()
            first, second = record["attempts"]
            assert (first["endpoint"], first["status"], first["error"], first["details"]) == (
                slow,
                None,
                None,
                GIVEN_UP,
            )
            assert (second["endpoint"], second["status"]) == (fast, 200)
            assert 0.075 <= second["started"] < 1
            assert (first["phase"], sum(first["phases"].values()) >= 0.07) == ("wait", True)
            assert (record["status"], record["error"], record["not_retried"]) == (200, None, None)
            await until(lambda: endpoints.upstreams[0].heads[-1] == b"gone")
            assert active(hop) == [0, 0]


async def test_a_late_attempt_that_answers_first_after_all_is_relayed() -> None:
    go = asyncio.Event()
    async with Scripts() as endpoints:
        late, never = await endpoints.add(says(go, OK), until_gone)
        async with running_hop(late, never, retry=HEDGED) as hop:
            asking = asyncio.create_task(asked(hop))
            await until(lambda: endpoints.upstreams[1].heads)
            assert active(hop) == [1, 1]
            go.set()
            answer = await asking
            assert (answer.status, answer.members[-1].next_hop) == (200, late)
            await until(lambda: endpoints.upstreams[1].heads[-1] == b"gone")
            assert active(hop) == [0, 0]


async def test_an_attempt_in_time_stays_alone() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(healthy, healthy)
        async with running_hop(*addresses, retry=HEDGED) as hop:
            assert (await asked(hop)).status == 200
            assert endpoints.connections == [1, 0]
            assert hop.hop.pool.open == 1  # kept for the next request


async def test_each_tells_its_endpoint_which_attempt_it_is() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, healthy)
        async with running_hop(*addresses, retry=HEDGED) as hop:
            await asked(hop)
            for number, upstream in enumerate(endpoints.upstreams, 1):
                assert b"\r\nX-Attempt-Count: %d\r\n" % number in upstream.heads[0]


@pytest.mark.parametrize("script", [says(then="reset"), says(status(503))], ids=["reset", "503"])
async def test_what_fails_at_once_is_tried_again_as_ever(script: Any) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(script, healthy)
        async with running_hop(*addresses, retry=HEDGED) as hop:
            assert (await asked(hop)).status == 200
            assert [each["backoff"] for each in (await hop.record())["attempts"]] == [0, 0]


@pytest.mark.parametrize("script", [says(then="reset"), says(status(500))], ids=["reset", "500"])
async def test_what_fails_beside_another_is_only_noted(script: Any) -> None:
    go = asyncio.Event()
    async with Scripts() as endpoints:
        late, fails = await endpoints.add(says(go, OK), script)
        async with running_hop(late, fails, retry=HEDGED) as hop:
            asking = asyncio.create_task(asked(hop))
            await until(lambda: endpoints.upstreams[1].heads)
            await until(lambda: active(hop) == [1, 0])
            go.set()
            answer = await asking
            assert (answer.status, answer.members[-1].next_hop) == (200, late)


async def test_when_all_fail_the_last_failure_is_the_answer() -> None:
    with refused_address() as address:
        async with Scripts() as endpoints:
            (late,) = await endpoints.add(until_gone)
            timeouts = {"first_byte": "1s"}
            async with running_hop(late, address, retry=HEDGED, timeouts=timeouts) as hop:
                answer = await asked(hop)
                assert (answer.status, answer.error) == (504, "http_response_timeout")
                record = await hop.record()
                assert [each["error"] for each in record["attempts"]] == ["http_response_timeout", "connection_refused"]
                assert record["not_retried"] == "attempts used up"


async def test_the_last_bad_status_is_relayed_when_all_are_bad() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(503)), says(status(500)))
        async with running_hop(*addresses, retry=HEDGED) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.data) == (500, b"oops")


async def test_no_more_attempts_than_allowed() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, until_gone, healthy)
        async with running_hop(*addresses, retry=HEDGED, timeouts={"first_byte": "400ms"}) as hop:
            assert (await asked(hop)).status == 504
            assert endpoints.connections == [1, 1, 0]
            assert (await hop.record())["not_retried"] == "attempts used up"


async def test_a_post_is_not_hedged() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, healthy)
        async with running_hop(*addresses, retry=HEDGED, timeouts={"first_byte": "250ms"}) as hop:
            assert (await asked(hop, post())).status == 504
            assert endpoints.connections == [1, 0]


async def test_hedges_count_towards_the_budget() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, healthy)
        retry = HEDGED | {"budget": {"enabled": True, "percent": 0, "min_concurrency": 0}}
        async with running_hop(*addresses, retry=retry, timeouts={"first_byte": "250ms"}) as hop:
            assert (await asked(hop)).status == 504
            assert endpoints.connections == [1, 0]
            assert hop.hop.state()["retries"] == {"active": 0, "refused": 2}


async def test_a_client_that_leaves_ends_all_of_them() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, until_gone)
        async with running_hop(*addresses, retry=HEDGED) as hop:
            async with hop.client() as client:
                await client.get()
                await until(lambda: endpoints.upstreams[1].heads)
            record = await hop.record()
            assert (record["client_gone"], len(record["attempts"])) == (True, 2)
            await until(lambda: all(each.heads[-1] == b"gone" for each in endpoints.upstreams))
            assert active(hop) == [0, 0]
            assert hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 0


async def test_a_body_that_is_cut_short_is_seen_as_ever() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, says(OK[:-1]))
        async with running_hop(*addresses, retry=HEDGED, outlier={"enabled": True, "consecutive_5xx": 1}) as hop:
            await hop.get()
            record = await hop.record()
            assert (record["truncated"], record["error"]) == (True, "http_response_incomplete")
            assert [each["state"] for each in hop.hop.state()["endpoints"]] == ["healthy", "ejected"]


async def test_a_sticky_client_moves_to_whoever_won() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, healthy)
        async with running_hop(*addresses, retry=HEDGED, balancing={"sticky_cookie": "lb"}) as hop:
            answer = await asked(hop)
            assert hop.hop.affinity is not None
            winner = [*hop.hop.endpoints.members][1]
            assert b"\r\nSet-Cookie: %b" % (answer.one("Set-Cookie") or b"") == hop.hop.affinity.cookie_for(winner, [])


async def test_a_cache_hedges_too() -> None:
    ok = OK.replace(b"Content-Length", b"Cache-Control: max-age=60\r\nContent-Length")
    async with Scripts() as endpoints:
        addresses = await endpoints.add(until_gone, says(ok, then="again"))
        async with running_hop(*addresses, retry=HEDGED, cache={"enabled": True}) as hop:
            assert (await asked(hop)).data == b"ok"
            assert (await asked(hop)).data == b"ok"
            assert endpoints.connections == [1, 1]


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"per_try_timeout": "0s"}, "needs a per_try_timeout"),
        ({"attempts": 1}, "needs attempts of at least 2"),
        ({"on": ["reset", "refused", "retriable-status-codes"]}, "needs one of 5xx, connect-failure, gateway-e"),
    ],
)
def test_hedging_needs_a_time_to_hedge_after_and_leave_to_do_so(missing: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"^retry: hedge_on_per_try_timeout {words}"):
        load_config({"upstreams": ["127.0.0.1:1"], "retry": HEDGED | missing})


@pytest.mark.parametrize("condition", ["connect-failure", "timeout", "gateway-error", "5xx"])
async def test_whatever_lets_an_attempt_that_is_late_be_tried_again_lets_it_be_hedged(condition: str) -> None:
    async with full_backlog() as unconnected, raw_upstream(until_gone) as silent, raw_upstream(healthy) as fast:
        late = unconnected if condition == "connect-failure" else silent.address
        retry, timeouts = HEDGED | {"on": [condition]}, {"connect": "5s"}
        async with running_hop(late, fast.address, retry=retry, timeouts=timeouts) as hop:
            assert (await asked(hop)).data == b"ok"
            assert hop.hop.recorder.totals()["hedges"] == 1
