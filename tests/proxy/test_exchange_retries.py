"""Where an exchange asks its retry policy."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.answers import read_answer, read_answers
from tests.support.exchanges import NOW, Scripts, asked, post, status
from tests.support.peers import Script, full_backlog, healthy, refused_address, reset, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop

# -- retries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [says(), says(then="reset"), says(b"HTTP/1.1 2")], ids=["FIN", "RST", "half a head"])
async def test_nothing_is_tried_again_unless_configured(script: Script) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(script, healthy)
        async with running_hop(*addresses) as hop:
            assert (await asked(hop)).status == 502
            assert endpoints.connections == [1, 0]


async def test_the_next_attempt_goes_elsewhere() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        async with running_hop(*addresses, retry={"attempts": 3, "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.data) == (200, b"ok")
            assert answer.members[-1].next_hop == addresses[1]
            record = await hop.record()
            assert [(attempt["endpoint"], attempt["error"]) for attempt in record["attempts"]] == [
                (addresses[0], "connection_terminated"),
                (addresses[1], None),
            ]
            assert (record["error"], record["status"]) == (None, 200)
            assert record["attempts"][1]["started"] >= record["attempts"][0]["phases"]["wait"]
            assert hop.hop.recorder.totals()["retries"] == 1


async def test_as_many_attempts_as_allowed_and_then_the_last_error() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), says(b"garbage\r\n\r\n"))
        retry = {"attempts": 3, "on": ["gateway-error"], "backoff": NOW}
        async with running_hop(*addresses, retry=retry) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.error) == (502, "connection_terminated")
            assert endpoints.connections == [2, 1]
            assert len((await hop.record())["attempts"]) == 3


async def test_a_refused_connection_is_tried_elsewhere() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(healthy)
        with refused_address() as address:
            async with running_hop(address, *addresses, retry={"attempts": 2, "backoff": NOW}) as hop:
                assert (await asked(hop)).status == 200


@pytest.mark.parametrize(("methods", "expected"), [(None, 502), ("any", 200), (["POST"], 200)])
async def test_a_post_is_tried_again_only_where_told(methods: Any, expected: int) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        retry = {"attempts": 2, "backoff": NOW} | ({} if methods is None else {"methods": methods})
        async with running_hop(*addresses, retry=retry) as hop:
            assert (await asked(hop, post())).status == expected
            assert endpoints.connections == [1, int(expected == 200)]


async def test_a_body_that_was_not_kept_is_not_sent_twice() -> None:
    async def dies_in_the_body(
        upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await upstream.read_head(reader)
        await reader.readexactly(3)
        reset(writer)

    async with Scripts() as endpoints:
        addresses = await endpoints.add(dies_in_the_body, healthy)
        async with (
            running_hop(*addresses, retry={"attempts": 2, "methods": "any", "backoff": NOW}) as hop,
            hop.client() as client,
        ):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
            await until(lambda: endpoints.connections[0])
            await client.send(b"abc")
            assert read_answer(await client.until(b"}\n")).status == 502
            assert endpoints.connections == [1, 0]


async def test_nothing_is_tried_again_once_the_head_is_out() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "on": ["5xx"], "backoff": NOW}) as hop:
            assert (await asked(hop)).body == b"abc"
            assert endpoints.connections == [1, 0]


@pytest.mark.parametrize(
    ("on", "code", "expected"),
    [("gateway-error", 503, 200), ("gateway-error", 500, 500), ("5xx", 500, 200), ("reset", 503, 503)],
)
async def test_statuses_are_tried_again_where_told(on: str, code: int, expected: int) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(code)), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "on": [on], "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert answer.status == expected
            record = await hop.record()
            assert [attempt["status"] for attempt in record["attempts"]] == [code, 200][: 1 + (expected == 200)]
            assert (record["error"], record["generated"]) == (None, False)


async def test_the_last_status_is_relayed_when_all_fail() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(503)), says(status(502)))
        async with running_hop(*addresses, retry={"attempts": 2, "on": ["5xx"], "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.data, answer.error) == (502, b"oops", None)
            assert answer.members[-1].received_status == 502


async def test_an_endpoint_that_asks_for_patience_is_not_tried_at_once() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(503, "Retry-After: 7")), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "on": ["5xx"], "backoff": NOW}) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.one("Retry-After")) == (503, b"7")


async def test_hints_from_an_attempt_that_failed_went_out_and_the_next_still_answers() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(hints, then="reset"), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "backoff": NOW}) as hop:
            interim, final = read_answers(await hop.get())
            assert (interim.status, final.status) == (103, 200)


async def test_no_attempt_begins_after_the_whole_deadline() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        retry = {"attempts": 2, "backoff": {"base": "1500ms", "max": "2s", "jitter": 0}}
        async with running_hop(*addresses, retry=retry, timeouts={"request": "1s"}) as hop:
            assert (await asked(hop)).status == 502
            assert endpoints.connections == [1, 0]


async def test_a_client_that_leaves_in_the_pause_ends_it() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        retry = {"attempts": 2, "backoff": {"base": "20s", "max": "20s", "jitter": 0}}
        async with running_hop(*addresses, retry=retry) as hop:
            async with hop.client() as client:
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await until(lambda: endpoints.connections[0])
                await until(lambda: hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 1)
            record = await hop.record()
            assert (record["client_gone"], len(record["attempts"])) == (True, 1)
            assert endpoints.connections == [1, 0]


@pytest.mark.parametrize(("statuses", "expected"), [([], 429), ([429], 200), ([503], 429)])
async def test_a_status_by_its_number_is_tried_again_only_where_told(statuses: list[int], expected: int) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(429)), healthy)
        retry = {"attempts": 2, "on": ["retriable-status-codes"], "statuses": statuses, "backoff": NOW}
        async with running_hop(*addresses, retry=retry) as hop:
            assert (await asked(hop)).status == expected


@pytest.mark.parametrize(("wish", "attempts"), [("Retry-After: 0", 2), ("Retry-After: 9", 1)])
async def test_the_wish_of_a_429_is_honoured_too(wish: str, attempts: int) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(status(429, wish)), healthy)
        retry = {"attempts": 2, "on": ["retriable-status-codes"], "statuses": [429], "backoff": NOW}
        async with running_hop(*addresses, retry=retry) as hop:
            await asked(hop)
            assert len((await hop.record())["attempts"]) == attempts


# -- what is told of them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry", "reason"),
    [
        ({"attempts": 1}, None),
        ({"attempts": 2}, "attempts used up"),
        ({"attempts": 2, "on": ["refused"]}, "connection_terminated is not retried (retry.on)"),
        ({"attempts": 2, "methods": ["PUT"]}, "GET is not retried (retry.methods)"),
        (
            {"attempts": 2, "budget": {"enabled": True, "percent": 0, "min_concurrency": 0}},
            "too many retries are under way (retry.budget)",
        ),
        ({"attempts": 2, "backoff": {"base": "9s", "max": "9s", "jitter": 0}}, "no time is left (timeouts.request)"),
    ],
)
async def test_the_record_says_why_there_was_no_further_attempt(retry: dict[str, Any], reason: str | None) -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"))
        settings = {"backoff": NOW} | retry
        async with running_hop(*addresses, retry=settings, timeouts={"request": "5s"}) as hop:
            assert (await asked(hop)).status == 502
            assert (await hop.record())["not_retried"] == reason


async def test_after_a_success_there_is_nothing_to_explain() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "backoff": NOW}) as hop:
            assert (await asked(hop)).status == 200
            assert (await hop.record())["not_retried"] is None


async def test_each_attempt_tells_the_endpoint_its_number() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), healthy)
        async with running_hop(*addresses, retry={"attempts": 2, "backoff": NOW}) as hop:
            await hop.get("/", "X-Attempt-Count: 7", "X-Other: 1")
            for number, upstream in enumerate(endpoints.upstreams, 1):
                assert upstream.heads[0].count(b"\r\nX-Attempt-Count: %d\r\n" % number) == 1
                assert upstream.heads[0].lower().count(b"x-attempt-count") == 1
                assert b"\r\nX-Other: 1\r\n" in upstream.heads[0]


async def test_a_hop_that_never_tries_again_says_nothing_of_attempts_and_passes_on_no_other_hops_count() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get("/", "X-Attempt-Count: 7")
        assert b"attempt-count" not in upstream.heads[0].lower()


# -- the limit of each try -----------------------------------------------------------------------------


async def test_each_try_has_a_limit_of_its_own_and_the_next_begins_behind_it() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="hang"), healthy)
        retry = {"attempts": 2, "per_try_timeout": "500ms", "backoff": NOW}
        async with running_hop(*addresses, retry=retry) as hop:
            assert (await asked(hop)).status == 200
            first, second = (await hop.record())["attempts"]
            assert (first["error"], first["phase"]) == ("http_response_timeout", "wait")
            assert first["details"] == "no whole response head within 0.5 s of the attempt's beginning"
            assert second["started"] >= 0.495


async def test_a_connection_that_does_not_come_about_counts_towards_the_try() -> None:
    async with full_backlog() as stuck, raw_upstream(healthy) as upstream:
        retry = {"attempts": 2, "per_try_timeout": "500ms", "backoff": NOW}
        async with running_hop(stuck, upstream.address, retry=retry, timeouts={"connect": "5s"}) as hop:
            assert (await asked(hop)).status == 200
            first, _ = (await hop.record())["attempts"]
            assert (first["error"], first["phase"]) == ("connection_timeout", "connect")


async def test_a_body_that_takes_longer_than_a_try_may_is_none_of_its_business() -> None:
    async def pours(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(0.12)
            writer.write(b"x")

    retry = {"attempts": 2, "per_try_timeout": "500ms"}
    async with raw_upstream(pours) as upstream, running_hop(upstream.address, retry=retry) as hop:
        assert (await asked(hop)).data == b"xxxxxx"


async def test_the_whole_deadline_wins_over_a_longer_one_of_the_try() -> None:
    async with raw_upstream(says(then="hang")) as upstream:
        retry = {"attempts": 2, "per_try_timeout": "5s"}
        async with running_hop(upstream.address, retry=retry, timeouts={"request": "80ms"}) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.problem["details"]) == (504, "the exchange was not over within 0.08 s")


# -- the budget ----------------------------------------------------------------------------------------


async def test_the_budget_bounds_the_retries_under_way_and_is_given_back() -> None:
    """Five requests fail at once. One may try again, at an endpoint that lets it wait; the other four may not."""
    go, retry = asyncio.Event(), {"attempts": 2, "backoff": NOW, "budget": {"enabled": True, "min_concurrency": 1}}
    fails, waits = asyncio.Event(), says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", go, b"ok")
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(fails, then="reset"), waits)
        balancing = {"weights": {addresses[0]: 256}}
        async with running_hop(*addresses, retry=retry, balancing=balancing) as hop:
            asking = [asyncio.create_task(hop.get()) for _ in range(5)]
            await until(lambda: len(endpoints.upstreams[0].heads) == 5)
            fails.set()
            await until(lambda: sum(task.done() for task in asking) == 4)
            (pending,) = [task for task in asking if not task.done()]
            assert all(read_answer(task.result()).status == 502 for task in asking if task.done())
            assert hop.hop.state()["retries"] == {"active": 1, "refused": 4}
            go.set()
            assert read_answer(await pending).status == 200
            await until(lambda: hop.hop.state()["retries"]["active"] == 0)


async def test_a_client_that_leaves_gives_the_budget_back() -> None:
    async with Scripts() as endpoints:
        addresses = await endpoints.add(says(then="reset"), says(then="hang"))
        retry = {"attempts": 2, "backoff": NOW, "budget": {"enabled": True}}
        async with running_hop(*addresses, retry=retry) as hop:
            async with hop.client() as client:
                await client.get()
                await until(lambda: endpoints.connections[1])
                assert hop.hop.state()["retries"]["active"] == 1
            await hop.record()
            assert hop.hop.state()["retries"]["active"] == 0
