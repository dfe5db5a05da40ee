from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest

from badgateway.running.load import due_times, run_traffic
from badgateway.running.observations import Observation
from badgateway.scenario.traffic import Rate, Traffic
from tests.support.processes import until
from tests.support.scripted import OK, scripted, sends


def traffic(**more: Any) -> Traffic:
    return Traffic.model_validate({"for": "1s", "rate": "100/s", **more})


def test_constant_arrivals_are_evenly_spaced() -> None:
    due = list(due_times(traffic(start="2s")))
    assert len(due) == 100
    assert due[0] == 2.0
    assert due[-1] == pytest.approx(2.99)


def test_poisson_arrivals_are_repeatable_and_of_the_right_rate() -> None:
    stream = traffic(**{"for": "100s", "arrivals": "poisson", "seed": 7})
    due = list(due_times(stream))
    assert due == list(due_times(stream))
    assert due != list(due_times(traffic(**{"for": "100s", "arrivals": "poisson", "seed": 8})))
    assert due == sorted(due)
    assert due[0] > 0
    assert due[-1] < 100
    assert len(due) == pytest.approx(10_000, rel=0.05)


async def test_requests_are_sent_when_due_and_observed() -> None:
    seen: list[Observation] = []
    async with scripted(sends(OK)) as server:
        await run_traffic([traffic(**{"for": "200ms"}, path="/a", headers={"X-B": "c"})], {"cdn": server.url}, seen)
    assert len(seen) == len(server.heads) == 20
    assert {o.status for o in seen} == {200}
    assert all(o.intended <= o.started <= o.ended for o in seen)
    assert sorted(o.intended for o in seen) == pytest.approx([n / 100 for n in range(20)])
    assert all(head.startswith(b"GET /a HTTP/1.1\r\n") and b"X-B: c\r\n" in head for head in server.heads)


async def test_a_stalled_server_does_not_slow_the_sending_down() -> None:
    stalled = asyncio.Event()
    seen: list[Observation] = []

    async def late(head: bytes, writer: asyncio.StreamWriter) -> None:
        del head
        await stalled.wait()
        writer.write(OK)

    async with scripted(late) as server:
        running = asyncio.create_task(run_traffic([traffic(**{"for": "200ms"})], {"cdn": server.url}, seen))
        await until(lambda: len(server.heads) == 20)
        stalled.set()
        await running
    # a closed loop would have sent one request, and measured one slow answer
    assert len(seen) == 20
    assert max(o.latency for o in seen) >= 0.15


async def test_more_than_the_limit_in_flight_is_counted_not_sent() -> None:
    stalled = asyncio.Event()
    seen: list[Observation] = []

    async def late(head: bytes, writer: asyncio.StreamWriter) -> None:
        del head
        await stalled.wait()
        writer.write(OK)

    async with scripted(late) as server:
        stream = traffic(**{"for": "200ms"}, in_flight=3)
        running = asyncio.create_task(run_traffic([stream], {"cdn": server.url}, seen))
        await until(lambda: len(seen) == 17)
        stalled.set()
        await running
    assert len(server.heads) == 3
    assert [o.failure for o in seen].count("overflow") == 17


async def test_failures_are_observations_too() -> None:
    seen: list[Observation] = []
    async with scripted(sends(close=True)) as server:
        await run_traffic([traffic(**{"for": "50ms"})], {"cdn": server.url}, seen)
        assert len(server.heads) == 5, "none was sent again"
    assert {(o.status, o.failure) for o in seen} == {(None, "closed")}


async def test_two_streams_run_beside_each_other() -> None:
    seen: list[Observation] = []
    async with scripted(sends(OK)) as one, scripted(sends(OK)) as two:
        streams = [traffic(**{"for": "100ms"}, to="cdn"), traffic(**{"for": "100ms"}, to="lb", start="50ms")]
        await run_traffic(streams, {"cdn": one.url, "lb": two.url}, seen)
        assert (len(one.heads), len(two.heads)) == (10, 10)


async def test_cancelling_leaves_no_task_behind() -> None:
    async with scripted(sends()) as server:
        running = asyncio.create_task(run_traffic([traffic()], {"cdn": server.url}, []))
        await until(lambda: server.heads)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_enough_open_files_are_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
        async with scripted(sends(OK)) as server:
            await run_traffic([traffic(**{"for": "20ms"}, in_flight=1000)], {"cdn": server.url}, [])
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(1256, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("text", "rate"), [("50/s", 50), ("90/m", 1.5), ("0.5/s", 0.5)])
def test_rates(text: str, rate: float) -> None:
    assert Rate.parse(text).per_second == rate


@pytest.mark.parametrize("text", ["50", 50, "0/s", "2001/s", "50/h", "-1/s", None])
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(ValueError, match="a rate is"):
        Rate.parse(text)
