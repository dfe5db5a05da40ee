"""A whole hop: what it tells of itself, what it can be told, and that nothing is left when it stops."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from badgateway_proxy.configuration.config import HopConfig, merge_patch
from badgateway_proxy.hop import Hop
from badgateway_proxy.process.jsonlog import JsonFormatter
from badgateway_proxy.transport.attempt import Attempt
from tests.support.answers import read_answer
from tests.support.peers import OK, healthy, says
from tests.support.processes import until
from tests.support.wire import raw_upstream, running_hop


def changed(hop: Hop, **patch: Any) -> None:
    hop.apply_config(merge_patch(hop.config, patch))


async def test_its_state_tells_what_is_going_on() -> None:
    go = asyncio.Event()
    async with raw_upstream(says(go, OK, then="again")) as upstream, running_hop(upstream.address) as hop:
        before = hop.hop.state()
        assert (before["name"], before["tier"], before["in_flight"], before["connections"]) == ("lb", "lb", 0, 0)
        fresh = {
            "address": upstream.address,
            "state": "healthy",
            "active": 0,
            "idle": 0,
            "weight": 1,
            "last_check": None,
        }
        assert (before["endpoints"], before["panic"]) == ([fresh], False)
        async with hop.client() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: upstream.heads)
            assert hop.hop.state()["in_flight"] == 1
            assert hop.hop.state()["connections"] == 1
            assert hop.hop.state()["endpoints"] == [fresh | {"active": 1}]
            go.set()
            assert await client.answer() == b"ok"
            after = hop.hop.state()
            assert (after["in_flight"], after["connections"]) == (0, 1)
            assert after["endpoints"] == [fresh | {"idle": 1}]
            assert after["totals"]["exchanges"] == 1
            assert after["breaker"]["calls"] == 1
        json.dumps(after)


async def test_a_reset_is_a_new_beginning() -> None:
    async with raw_upstream(says(then="reset")) as upstream, running_hop(upstream.address) as hop:
        await hop.get()
        changed(hop.hop, timeouts={"first_byte": "1s"}, breaker={"minimum_calls": 1, "window": {"size": 1}})
        await hop.get()
        hop.hop.clock.advance(5)
        assert hop.hop.state()["breaker"]["state"] == "open"
        hop.hop.reset()
        state = hop.hop.state()
        assert (state["breaker"]["state"], state["breaker"]["calls"], state["clock_offset"]) == ("closed", 0, 0)
        assert (state["totals"]["exchanges"], hop.hop.recorder.query()) == (0, [])
        assert hop.hop.config.timeouts.first_byte == 5


async def test_exchanges_are_logged_as_json_where_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "badgateway_proxy.exchange")
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get("/quiet")
        await hop.records(1)
        changed(hop.hop, log_exchanges=True)
        await hop.get("/told")
        await hop.send(b"nonsense\r\n\r\n")
        records = await hop.records(3)
    lines = [json.loads(JsonFormatter().format(each)) for each in caplog.records]
    assert [line["exchange"] for line in lines] == records[1:]
    assert lines[0]["message"] == "GET /told 200"


async def test_a_change_of_the_breaker_is_told_to_who_listens() -> None:
    breaker = {"minimum_calls": 1, "window": {"size": 1}}
    async with raw_upstream(says(then="reset")) as upstream, running_hop(upstream.address, breaker=breaker) as hop:
        with hop.hop.recorder.subscribe() as subscription:
            await hop.get()
            told = [
                (event.kind, event.as_dict())
                for event in (subscription.queue.get_nowait(), subscription.queue.get_nowait())
            ]
        kinds = [kind for kind, _ in told]
        assert sorted(kinds) == ["breaker", "exchange"]
        (change,) = [data for kind, data in told if kind == "breaker"]
        assert change == {"hop": "lb", "from": "closed", "to": "open", "why": "threshold reached"}
        json.dumps(told)


async def test_every_record_is_json() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get("/plain")
        await hop.get("/caf\u00e9")
        await hop.send(b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await hop.send(b"\x16\x03\x01\x00")
        for record in hop.hop.recorder.query():
            text = json.dumps(record.as_dict())
            text.encode("ascii")
            str(record.as_dict()["target"]).encode("utf-8")  # no half of a surrogate pair, which nobody could print


async def test_draining_waits_for_what_is_under_way() -> None:
    go = asyncio.Event()
    async with raw_upstream(says(go, OK)) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: upstream.heads)
        hop.hop.draining = True
        idle = asyncio.create_task(hop.hop.until_idle())
        await asyncio.sleep(0)
        assert not idle.done()
        go.set()
        answer = read_answer(await client.until(b"ok"))
        await idle
        assert answer.status == 200
        await hop.hop.until_idle()


async def test_a_request_that_comes_while_draining_is_the_last_of_its_connection() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        hop.hop.draining = True
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = read_answer(await client.all())
        assert (answer.data, answer.one("Connection")) == (b"ok", b"close")


async def test_a_bug_of_the_hop_keeps_no_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    breaker = {"minimum_calls": 1, "window": {"size": 1}, "permitted_probes": 1, "open_for": "30s"}
    async with raw_upstream(says(then="reset")) as upstream, running_hop(upstream.address, breaker=breaker) as hop:
        await hop.get()
        hop.hop.clock.advance(30)
        assert hop.hop.state()["breaker"]["state"] == "half_open"
        monkeypatch.setattr(Attempt, "send", broken)
        assert read_answer(await hop.get()).status == 500
        assert hop.hop.state()["breaker"]["probes_left"] == 1
        await until(lambda: not hop.hop.pool.open)
        hop.complaints.clear()


async def test_a_bug_of_the_hop_is_an_answer_and_a_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(hop.hop.endpoints, "pick", broken)
        answer = read_answer(await hop.get())
        assert (answer.status, answer.error) == (500, "proxy_internal_error")
        assert "ZeroDivisionError" not in answer.body.decode()
        record = await hop.record()
        assert (record["status"], record["error"], record["generated"]) == (500, "proxy_internal_error", True)
        (line,) = hop.complaints
        assert "ZeroDivisionError" in line
        hop.complaints.clear()


async def test_many_at_once_leave_nothing_behind() -> None:
    settings: dict[str, Any] = {"pool": {"idle": 5}, "timeouts": {"connect": "20s", "first_byte": "20s"}}
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, **settings) as hop:
        answers = await asyncio.gather(*(hop.get(f"/{n}") for n in range(200)))
        assert {read_answer(raw).data for raw in answers} == {b"ok"}
        assert hop.hop.in_flight == 0
        await until(lambda: hop.hop.pool.open <= 5)
        assert len(await hop.records(200)) == 200


def test_a_hop_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        Hop(HopConfig(upstreams=("127.0.0.1:1",)))
