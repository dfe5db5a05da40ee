"""Limits on what is under way to the upstream, over real connections: who waits, who is refused, who goes next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from badgateway_proxy.configuration.config import merge_patch
from tests.support.answers import Answer, read_answer
from tests.support.peers import OK, Script, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop


class Held:
    """An upstream that answers nobody until it is told to, and then one after the other."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Event] = []
        self.most = 0
        self._now = 0

    async def script(self, upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await upstream.read_head(reader)
            self._now += 1
            self.most = max(self.most, self._now)
            go = asyncio.Event()
            self.waiting.append(go)
            await go.wait()
            self._now -= 1
            path = head.split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    def answer(self) -> None:
        """Answer the one that waits longest."""
        self.waiting.pop(0).set()


async def ask(hop: RunningHop, path: str = "/") -> Answer:
    return read_answer(await hop.get(path))


def limits(hop: RunningHop) -> dict[str, Any]:
    state: dict[str, Any] = hop.hop.state()["upstream"]
    return state


async def test_without_limits_there_is_no_gate() -> None:
    async with running_hop("127.0.0.1:9") as hop:
        assert hop.hop.gate is None
        assert hop.hop.state()["upstream"] is None


async def test_beyond_the_connections_requests_wait_in_line() -> None:
    held = Held()
    async with (
        raw_upstream(held.script) as upstream,
        running_hop(upstream.address, upstream_limits={"max_connections": 1, "pending_timeout": "10s"}) as hop,
    ):
        asked = []
        for number in range(4):
            asked.append(asyncio.create_task(ask(hop, f"/{number}")))
            await until(lambda: limits(hop)["active"] + limits(hop)["pending"] == len(asked))
        for number in range(4):
            await until(lambda: len(held.waiting) == 1, what="one at the upstream")
            held.answer()
            answer = await asked[number]
            assert (answer.status, answer.data) == (200, b"/%d" % number), "first come, first served"
        assert (held.most, upstream.connections) == (1, 1)
        records = await hop.records(4)
        assert records[0]["queued"] == 0
        assert all(record["queued"] > 0 for record in records[1:])
        assert records[3]["attempts"][0]["started"] >= records[3]["queued"] - 0.001
        assert records[3]["attempts"][0]["phases"]["connect"] == 0, "waiting in line is no connecting"
        assert limits(hop)["active"] == limits(hop)["pending"] == 0


async def test_when_the_line_is_full_the_next_is_refused() -> None:
    held = Held()
    settings = {"max_connections": 1, "max_pending_requests": 1, "pending_timeout": "10s", "retry_after": "3s"}
    async with raw_upstream(held.script) as upstream, running_hop(upstream.address, upstream_limits=settings) as hop:
        first, second = (asyncio.create_task(ask(hop)) for _ in range(2))
        await until(lambda: limits(hop) | {"active": 1, "pending": 1} == limits(hop))
        refused = await ask(hop)
        assert (refused.status, refused.error, refused.one("Retry-After")) == (503, "connection_limit_reached", b"3")
        assert refused.problem["details"] == "too many wait for a connection (max_pending_requests)"
        held.answer()
        await until(lambda: len(held.waiting) == 1, what="the second at the upstream")
        held.answer()
        assert [(await each).status for each in (first, second)] == [200, 200]


@pytest.mark.parametrize(
    ("settings", "details"),
    [
        ({"max_connections": 1, "max_pending_requests": 0}, "no connection to the upstream is free (max_connections)"),
        ({"max_requests": 1}, "too many requests to the upstream (max_requests)"),
    ],
)
async def test_without_a_line_nobody_waits(settings: dict[str, Any], details: str) -> None:
    held = Held()
    async with raw_upstream(held.script) as upstream, running_hop(upstream.address, upstream_limits=settings) as hop:
        first = asyncio.create_task(ask(hop))
        await until(lambda: len(held.waiting) == 1)
        refused = await ask(hop)
        assert (refused.status, refused.error) == (503, "connection_limit_reached")
        assert refused.problem["details"] == details
        held.answer()
        assert (await first).status == 200


async def test_waiting_has_a_deadline() -> None:
    held = Held()
    async with (
        raw_upstream(held.script) as upstream,
        running_hop(upstream.address, upstream_limits={"max_connections": 1, "pending_timeout": "60ms"}) as hop,
    ):
        first = asyncio.create_task(ask(hop))
        await until(lambda: len(held.waiting) == 1)
        late = await ask(hop)
        assert (late.status, late.error) == (503, "connection_limit_reached")
        assert late.problem["details"] == "no connection to the upstream became free within 0.06 s (pending_timeout)"
        assert limits(hop)["pending"] == 0
        held.answer()
        assert (await first).status == 200
        record = (await hop.records(2))[0]
        assert record["attempts"] == []
        assert 0.055 <= record["duration"] < 2


async def test_the_whole_exchanges_deadline_holds_in_line_too() -> None:
    """The first goes by a deadline of its own, so that nothing but the second's can end the waiting."""
    held = Held()
    settings: dict[str, Any] = {"upstream_limits": {"max_connections": 1, "pending_timeout": "10s"}}
    async with raw_upstream(held.script) as upstream, running_hop(upstream.address, **settings) as hop:
        first = asyncio.create_task(ask(hop))
        await until(lambda: len(held.waiting) == 1, what="the first at the upstream")
        hop.hop.apply_config(merge_patch(hop.hop.config, {"timeouts": {"request": "150ms"}}))
        second = await ask(hop)
        assert (second.status, second.error) == (503, "connection_limit_reached")
        assert second.problem["details"].endswith(" s (timeouts.request)")
        held.answer()
        assert (await first).status == 200


async def test_a_client_that_leaves_the_line_gives_up_its_place() -> None:
    held = Held()
    async with (
        raw_upstream(held.script) as upstream,
        running_hop(upstream.address, upstream_limits={"max_connections": 1, "pending_timeout": "10s"}) as hop,
    ):
        first = asyncio.create_task(ask(hop))
        await until(lambda: len(held.waiting) == 1)
        async with hop.client() as client:
            await client.get("/gone")
            await until(lambda: limits(hop)["pending"] == 1)
        await until(lambda: limits(hop)["pending"] == 0, what="its place to be free")
        held.answer()
        assert (await first).status == 200
        assert limits(hop)["active"] == 0
        assert all(b"/gone" not in head for head in upstream.heads)
        assert [record["client_gone"] for record in await hop.records(2)] == [True, False]


async def test_a_client_that_leaves_at_the_upstream_frees_its_connection() -> None:
    held = Held()
    async with (
        raw_upstream(held.script) as upstream,
        running_hop(upstream.address, upstream_limits={"max_connections": 1, "pending_timeout": "10s"}) as hop,
    ):
        async with hop.client() as client:
            await client.get("/gone")
            await until(lambda: len(held.waiting) == 1)
            second = asyncio.create_task(ask(hop))
            await until(lambda: limits(hop)["pending"] == 1)
        await until(lambda: len(held.waiting) == 2, what="the second at the upstream")
        held.waiting.pop().set()
        assert (await second).status == 200


async def test_more_connections_than_allowed_are_never_open_idle_ones_included() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as one,
        raw_upstream(says(OK, then="again")) as other,
        running_hop(one.address, other.address, upstream_limits={"max_connections": 1}) as hop,
    ):
        for _ in range(4):
            assert (await ask(hop)).status == 200
            await until(lambda: hop.hop.pool.open <= 1, what="one connection at most")
        assert (one.connections, other.connections) == (2, 2), "each was closed for the next"


async def test_a_change_of_the_limit_lets_in_who_waits() -> None:
    held = Held()
    async with (
        raw_upstream(held.script) as upstream,
        running_hop(upstream.address, upstream_limits={"max_connections": 1, "pending_timeout": "10s"}) as hop,
    ):
        asked = [asyncio.create_task(ask(hop)) for _ in range(3)]
        await until(lambda: limits(hop)["pending"] == 2)
        hop.hop.apply_config(merge_patch(hop.hop.config, {"upstream_limits": None}))
        await until(lambda: len(held.waiting) == 3, what="all at the upstream")
        while held.waiting:
            held.answer()
        assert [(await each).status for each in asked] == [200] * 3


def fails(then: Script) -> Script:
    """Close before any response, the first time on each connection."""

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if upstream.connections % 2:
            await upstream.read_head(reader)
        else:
            await then(upstream, reader, writer)

    return script


@pytest.mark.parametrize(
    ("most", "statuses", "attempts"), [(None, [200, 200], [2, 2]), (1, [200, 200], [2, 2]), (0, [502, 200], [1, 1])]
)
async def test_no_more_retries_are_under_way_than_allowed(
    most: int | None, statuses: list[int], attempts: list[int]
) -> None:
    """Of two connections the first is closed at once: without a retry every other request fails."""
    async with (
        raw_upstream(fails(says(OK))) as upstream,
        running_hop(
            upstream.address,
            retry={"attempts": 2, "on": ["reset"]},
            upstream_limits={"max_retries": most, "max_requests": 100},
        ) as hop,
    ):
        assert [(await ask(hop)).status for _ in range(2)] == statuses
        records = await hop.records(2)
        assert [len(record["attempts"]) for record in records] == attempts
        refused = "too many retries are under way (upstream_limits.max_retries)"
        assert (records[0]["not_retried"] == refused) is (most == 0)
        assert limits(hop)["retries"] == 0, "each gave back what it took"


async def test_beyond_the_adaptive_limit_load_is_shed() -> None:
    held = Held()
    adaptive = {"algorithm": "aimd", "min_limit": 1, "initial_limit": 2, "retry_after": "2s"}
    async with (
        raw_upstream(held.script) as upstream,
        running_hop(upstream.address, adaptive_concurrency=adaptive) as hop,
    ):
        asked = [asyncio.create_task(ask(hop)) for _ in range(2)]
        await until(lambda: len(held.waiting) == 2)
        shed = await ask(hop)
        assert (shed.status, shed.error, shed.one("Retry-After")) == (503, "proxy_internal_response", b"2")
        held.answer()
        held.answer()
        assert [(await each).status for each in asked] == [200, 200]
        assert limits(hop)["adaptive_limit"] == 4, "both were answered in time, and so it grows"


async def test_the_adaptive_limit_goes_down_when_the_upstream_is_overloaded() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    adaptive = {"algorithm": "aimd", "min_limit": 1, "initial_limit": 10, "backoff_ratio": 0.5}
    async with (
        raw_upstream(says(busy)) as upstream,
        running_hop(upstream.address, adaptive_concurrency=adaptive) as hop,
    ):
        assert (await ask(hop)).status == 503
        assert limits(hop)["adaptive_limit"] == 5
