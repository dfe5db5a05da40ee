"""What an exchange does without a task it does as with one: these have a connection to the endpoint from the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from badgateway_proxy.transport.driving import Change, Driven, in_task
from tests.support.answers import read_answer
from tests.support.peers import OK, Ending, end
from tests.support.processes import until
from tests.support.rawclient import RawClient
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop

GET = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@asynccontextmanager
async def warm(
    *parts: bytes | float, then: Ending = "again", **settings: Any
) -> AsyncIterator[tuple[RawUpstream, RunningHop, RawClient]]:
    """A client and a hop that have had one exchange; the endpoint sends `parts`, or pauses, in the next."""

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(upstream.heads) == 0:
            await upstream.read_head(reader)
            writer.write(OK)
        while True:
            await upstream.read_head(reader)
            for part in parts:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    await asyncio.sleep(part)
            if then != "again":
                return await end(reader, writer, then)

    async with (
        raw_upstream(script) as upstream,
        running_hop(upstream.address, **settings) as hop,
        hop.client() as client,
    ):
        await client.send(GET)
        assert await client.answer() == b"ok"
        yield upstream, hop, client


@pytest.mark.parametrize(
    "parts", [(OK,), (OK[:20], 0.01, OK[20:]), (OK[:-1], 0.01, OK[-1:])], ids=["1", "head", "body"]
)
async def test_a_response_arrives_in_any_number_of_packets(parts: tuple[bytes | float, ...]) -> None:
    async with warm(*parts) as (upstream, hop, client):
        for _ in range(3):
            await client.send(GET)
            assert await client.answer() == b"ok"
        assert upstream.connections == 1
        records = await hop.records(4)
        assert [record["attempts"][0]["reused"] for record in records] == [False, True, True, True]


@pytest.mark.parametrize(
    ("parts", "then", "status", "error"),
    [
        ((), "close", 502, "connection_terminated"),
        ((0.01,), "reset", 502, "connection_terminated"),
        ((OK[:20],), "close", 502, "http_response_incomplete"),
        ((b"\x15\x03\x01\x00\x02\x02\x46",), "hang", 502, "http_protocol_error"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",), "hang", 502, "http_protocol_error"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,), "hang", 502, "http_response_header_size"),
        ((), "hang", 504, "http_response_timeout"),
        ((OK[:20],), "hang", 504, "http_response_timeout"),
    ],
)
async def test_failures_are_named_as_ever(
    parts: tuple[bytes | float, ...], then: Ending, status: int, error: str
) -> None:
    async with warm(*parts, then=then, timeouts={"first_byte": "600ms"}) as (_, hop, client):
        await client.send(GET)
        answer = read_answer(await client.until(b"\r\n\r\n"))
        assert (answer.status, answer.error) == (status, error)
        record = (await hop.records(2))[1]
        assert (record["error"], record["attempts"][0]["error"]) == (error, error)


async def test_a_body_that_ends_early_is_cut_short_for_the_client() -> None:
    async with warm(OK[:-1], 0.01, then="close") as (_, hop, client):
        await client.send(GET)
        assert (await client.all()).endswith(b"\r\n\r\no")
        assert client.end == "fin"
        assert (await hop.records(2))[1]["truncated"]


async def test_interim_responses_are_relayed_before_the_final_one() -> None:
    async with warm(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0.01, OK) as (_, _hop, client):
        await client.send(GET)
        assert (await client.until(b"ok")).startswith(b"HTTP/1.1 103 Early Hints\r\n")


async def test_a_retry_waits_and_connects_in_a_task() -> None:
    retry = {"attempts": 2, "on": ["5xx", "reset"], "backoff": {"base": "20ms"}}
    async with warm(
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", then="close", retry=retry
    ) as (
        upstream,
        hop,
        client,
    ):
        await client.send(GET)
        assert read_answer(await client.until(b"\r\n\r\n")).status == 503
        assert len((await hop.records(2))[1]["attempts"]) == 2
        assert upstream.connections == 2


async def test_a_client_that_leaves_cancels_what_waits() -> None:
    async with warm(then="hang") as (upstream, hop, client):
        await client.send(GET)
        await until(lambda: len(upstream.heads) == 2, what="the request at the endpoint")
        client.close()
        record = (await hop.records(2))[1]
        assert (record["client_gone"], record["status"], record["error"]) == (True, None, None)
        await until(lambda: not hop.hop.pool.open, what="no connection left")


async def test_a_client_that_reads_nothing_stops_the_endpoint() -> None:
    size = 30_000_000
    body = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    async with warm(body, timeouts={"send": "100ms"}) as (_, hop, client):
        await client.send(GET)
        record = (await hop.records(2))[1]
        assert record["client_gone"]
        assert record["response_bytes"] < size


async def test_idleness_does_not_end_what_is_being_served() -> None:
    async with warm(0.8, OK, timeouts={"client_idle": "500ms"}) as (_, _hop, client):
        await client.send(GET)
        assert await client.answer() == b"ok"
        assert await client.all() == b""  # and ends what is idle


async def test_pipelined_requests_wait_for_the_one_being_served() -> None:
    async with warm(0.02, OK) as (upstream, hop, client):
        await client.send(GET)
        await until(lambda: len(upstream.heads) == 2, what="the request at the endpoint")
        await client.send(GET + GET)
        for _ in range(3):
            assert await client.answer() == b"ok"
        await hop.records(4)


async def test_a_hop_that_ends_lets_the_answer_through_and_closes_behind_it() -> None:
    async with warm(0.1, OK) as (upstream, hop, client):
        await client.send(GET)
        await until(lambda: len(upstream.heads) == 2, what="the request at the endpoint")
        hop.server.pre_shutdown()
        assert (await client.all()).endswith(b"ok")


async def test_a_hop_that_is_stopped_leaves_nothing_waiting() -> None:
    async with warm(then="hang") as (upstream, hop, client):
        await client.send(GET)
        await until(lambda: len(upstream.heads) == 2, what="the request at the endpoint")
        await hop.server.shutdown(0.05)
        assert (await hop.records(2))[1]["client_gone"]


# -- the parts ------------------------------------------------------------------------------------------


class Conductor:
    """Drives coroutines outside any task, and notes what becomes of them."""

    def __init__(self) -> None:
        self.results: list[bool] = []
        self.wanted = 0
        self.driven = Driven(self.results.append, self._hand_over)

    def _hand_over(self) -> None:
        self.wanted += 1


async def outside(call: Any, *args: Any) -> None:
    """Call something from the event loop, where there is no task."""
    done = asyncio.Event()

    def run() -> None:
        try:
            call(*args)
        finally:
            done.set()

    asyncio.get_running_loop().call_soon(run)
    await done.wait()


async def test_bytes_resume_a_driven_coroutine_within_the_call() -> None:
    change, conductor = Change(asyncio.get_running_loop()), Conductor()

    async def exchange() -> bool:
        await change
        return True

    await outside(conductor.driven.begin, exchange())
    assert conductor.results == []
    await outside(change.happened_now)
    assert (conductor.results, conductor.wanted) == ([True], 0)


async def test_anything_else_leaves_it_to_a_task() -> None:
    change, conductor = Change(asyncio.get_running_loop()), Conductor()

    async def exchange() -> bool:
        await change
        async with asyncio.timeout(1):
            await change
        return True

    await outside(conductor.driven.begin, exchange())
    await outside(change.happened)
    assert (conductor.driven.handed_over, conductor.wanted) == (True, 1)
    task = asyncio.ensure_future(conductor.driven.rest())
    await asyncio.sleep(0)
    await outside(change.happened_now)
    assert await task
    assert conductor.results == []


async def test_what_needs_a_task_gets_one_and_only_when_there_is_none() -> None:
    conductor = Conductor()

    async def exchange() -> bool:
        await in_task()
        await in_task()
        await asyncio.sleep(0.001)
        return True

    assert await exchange()
    await outside(conductor.driven.begin, exchange())
    assert conductor.driven.handed_over
    assert await conductor.driven.rest()


async def test_a_cancelled_coroutine_sees_that_it_is() -> None:
    change, conductor = Change(asyncio.get_running_loop()), Conductor()
    seen: list[str] = []

    async def exchange() -> bool:
        try:
            await change
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return True

    conductor.driven.cancel()  # nothing runs
    await outside(conductor.driven.begin, exchange())
    await outside(conductor.driven.cancel)
    assert (seen, conductor.results) == (["cancelled"], [False])
    await outside(change.happened_now)  # which is too late
    assert (conductor.results, conductor.wanted) == ([False], 0)
