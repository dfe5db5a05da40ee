"""Where an exchange asks its breaker."""

from __future__ import annotations

import asyncio

from tests.support.exchanges import NOW, asked, breaker_of, status, until_gone
from tests.support.peers import OK, healthy, reset, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop

# -- the breaker ---------------------------------------------------------------------------------------

TOUCHY = {"window": {"size": 4}, "minimum_calls": 4, "open_for": "30s", "permitted_probes": 2}


async def test_an_open_breaker_refuses_without_a_connection() -> None:
    async with raw_upstream(says(then="reset")) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            assert (await asked(hop)).status == 502
        answer = await asked(hop)
        assert (answer.status, answer.error) == (503, "destination_unavailable")
        assert answer.one("Retry-After") in (b"30", b"29")
        assert answer.problem["details"] == "circuit open"
        assert upstream.connections == 4
        record = (await hop.records(5))[-1]
        assert (record["breaker"], record["attempts"], record["generated"]) == ("open", [], True)
        assert record["retry_after"] in (30, 29)


async def test_it_lets_probes_through_when_its_time_is_up_and_closes() -> None:
    broken = True

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if broken:
            reset(writer)
        else:
            await healthy(upstream, reader, writer)

    async with raw_upstream(script) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            await asked(hop)
        assert breaker_of(hop)["state"] == "open"
        broken = False
        hop.hop.clock.advance(29)
        assert (await asked(hop)).status == 503
        hop.hop.clock.advance(1)
        assert (await asked(hop)).status == 200
        assert breaker_of(hop)["state"] == "half_open"
        assert (await asked(hop)).status == 200
        assert breaker_of(hop)["state"] == "closed"
        states = [record["breaker"] for record in await hop.records(7)]
        assert states == ["closed"] * 4 + ["open", "half_open", "half_open"]


async def test_no_more_probes_than_permitted_at_a_time() -> None:
    go = asyncio.Event()

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        if upstream.connections <= 4:
            reset(writer)
        else:
            await go.wait()
            writer.write(OK)

    async with raw_upstream(script) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            await asked(hop)
        hop.hop.clock.advance(30)
        probes = [asyncio.create_task(asked(hop)) for _ in range(2)]
        await until(lambda: upstream.connections == 6)
        answer = await asked(hop)
        assert (answer.status, answer.one("Retry-After")) == (503, b"1")
        assert upstream.connections == 6
        go.set()
        assert [(await probe).status for probe in probes] == [200, 200]
        assert breaker_of(hop)["state"] == "closed"


async def test_a_client_that_leaves_gives_its_probe_back() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if upstream.connections <= 4:
            reset(writer)
        elif upstream.connections <= 6:
            await until_gone(upstream, reader, writer)
        else:
            await healthy(upstream, reader, writer)

    async with raw_upstream(script) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            await asked(hop)
        hop.hop.clock.advance(30)
        for n in range(2):
            async with hop.client() as client:
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await until(lambda n=n: upstream.connections == 5 + n)  # type: ignore[misc]  # mypy infers no type for it
            await hop.records(5 + n)
        assert breaker_of(hop)["probes_left"] == 2
        assert [(await asked(hop)).status for _ in range(2)] == [200, 200]
        assert breaker_of(hop)["state"] == "closed"


async def test_statuses_count_and_client_errors_do_not() -> None:
    async with raw_upstream(says(status(500))) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(3):
            assert (await asked(hop)).status == 500
            assert (await asked(hop, b"GET / HTTP/3.7\r\n\r\n")).status == 505
        assert breaker_of(hop)["calls"] == 3
        assert (await asked(hop)).status == 500
        assert breaker_of(hop)["state"] == "open"


async def test_a_cut_response_is_a_failure_and_a_slow_one_is_slow() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
    async with raw_upstream(says(cut)) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        for _ in range(4):
            assert (await asked(hop)).body == b"abc"
        assert breaker_of(hop)["state"] == "open"
    go = asyncio.Event()
    slow = {**TOUCHY, "slow_call": "20ms", "slow_call_rate": 100}
    async with raw_upstream(says(go, OK)) as upstream, running_hop(upstream.address, breaker=slow) as hop:
        answers = [asyncio.create_task(asked(hop)) for _ in range(4)]
        await until(lambda: upstream.connections == 4)
        await asyncio.sleep(0.03)  # what makes them slow
        go.set()
        assert [(await answer).status for answer in answers] == [200] * 4
        assert (breaker_of(hop)["state"], breaker_of(hop)["slow_calls"]) == ("open", 4)


async def test_every_attempt_counts_and_none_follows_once_it_is_open() -> None:
    async with raw_upstream(says(then="reset")) as upstream:
        retry = {"attempts": 10, "backoff": NOW}
        async with running_hop(upstream.address, breaker=TOUCHY, retry=retry) as hop:
            answer = await asked(hop)
            assert (answer.status, answer.error) == (503, "destination_unavailable")
            assert upstream.connections == 4
            assert len((await hop.record())["attempts"]) == 4


async def test_forced_open_and_disabled() -> None:
    async with raw_upstream(says(then="reset")) as upstream, running_hop(upstream.address, breaker=TOUCHY) as hop:
        hop.hop.breaker.force_open(hop.hop.clock.now())
        assert (await asked(hop)).status == 503
        hop.hop.breaker.disable(hop.hop.clock.now())
        assert {(await asked(hop)).status for _ in range(6)} == {502}
        states = [record["breaker"] for record in await hop.records(7)]
        assert states == ["forced_open"] + ["disabled"] * 6
