"""Where an exchange asks its retry policy."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.answers import read_answer, read_answers
from tests.support.exchanges import NOW, Scripts, asked, post, status
from tests.support.peers import Script, healthy, refused_address, reset, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, running_hop

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
        retry = {"attempts": 2, "backoff": {"base": "500ms", "max": "1s", "jitter": 0}}
        async with running_hop(*addresses, retry=retry, timeouts={"request": "200ms"}) as hop:
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
