"""One attempt's record: which phase took how long, in which one it ended, and what becomes of its connection."""

from __future__ import annotations

import asyncio

import pytest

from badgateway_proxy.configuration.settings import TimeoutSettings
from badgateway_proxy.errors import ErrorType, HopError
from badgateway_proxy.policies.balancer import parse_endpoint
from badgateway_proxy.records import AttemptRecord
from badgateway_proxy.transport.attempt import Attempt, Deadlines
from badgateway_proxy.transport.request_body import NO_BODY, RequestBody
from tests.support.answers import read_answer
from tests.support.peers import OK, Script, field, full_backlog, healthy, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop

PAUSE = 0.05  # uvloop's timers are a millisecond off, hence a tenth of leeway below


def made(hop: RunningHop, address: str, whole: float) -> Attempt:
    """An attempt whose exchange must be over in `whole` seconds."""
    loop = asyncio.get_running_loop()
    record, now = AttemptRecord(address, 0.0), loop.time()
    return Attempt(loop, hop.hop.pool, parse_endpoint(address), hop.hop.deadlines, now + whole, record, now)


async def slow_everywhere(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await upstream.read_head(reader)
    await reader.readexactly(int(field(head, b"content-length") or 0))
    await asyncio.sleep(PAUSE)
    writer.write(OK[:-2])
    await asyncio.sleep(PAUSE)
    writer.write(b"ok")


async def test_the_phases_add_up_to_the_attempt() -> None:
    async with raw_upstream(slow_everywhere) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        await until(lambda: upstream.heads)
        assert await client.silent(PAUSE)
        await client.send(b"body")
        assert await client.answer() == b"ok"
        record = await hop.record()
        (attempt,) = record["attempts"]
        phases = attempt["phases"]
        assert phases["send"] >= 0.9 * PAUSE
        assert phases["wait"] >= 0.9 * PAUSE
        assert phases["receive"] >= 0.9 * PAUSE
        assert 0 < phases["connect"] < PAUSE
        assert sum(phases.values()) <= record["duration"] + 0.001
        assert sum(phases.values()) >= record["duration"] * 0.5
        assert (attempt["phase"], attempt["status"], attempt["error"]) == ("receive", 200, None)


async def test_a_reused_connection_took_no_time_to_make() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        for _ in range(2):
            await hop.get()
        first, second = (record["attempts"][0] for record in await hop.records(2))
        assert (first["reused"], second["reused"]) == (False, True)
        assert first["phases"]["connect"] > 0
        assert second["phases"]["connect"] == 0
        assert first["local"] == second["local"]


ENDS: list[tuple[str, Script, str]] = [
    ("before a byte", says(), "wait"),
    ("in the head", says(b"HTTP/1.1 200 OK\r\n"), "wait"),
    ("in the body", says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "receive"),
    ("hangs", says(then="hang"), "wait"),
    ("stalls", says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", then="hang"), "receive"),
]


@pytest.mark.parametrize(("script", "phase"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
async def test_it_ends_in_the_phase_in_which_it_failed(script: Script, phase: str) -> None:
    impatient = {"first_byte": "400ms", "between_bytes": "400ms"}
    async with raw_upstream(script) as upstream, running_hop(upstream.address, timeouts=impatient) as hop:
        await hop.get()
        (attempt,) = (await hop.record())["attempts"]
        assert attempt["phase"] == phase
        assert attempt["error"] is not None
        assert attempt["phases"][phase] > 0
        assert hop.hop.pool.open == 0


async def test_a_connection_that_is_not_made_ends_it_in_connect() -> None:
    async with full_backlog() as address, running_hop(address, timeouts={"connect": "60ms"}) as hop:
        await hop.get()
        (attempt,) = (await hop.record())["attempts"]
        assert (attempt["phase"], attempt["local"]) == ("connect", None)
        assert attempt["phases"]["connect"] >= 0.05
        assert attempt["phases"]["wait"] == 0


@pytest.mark.parametrize("kept", [0, 8, 256])
async def test_as_many_first_bytes_are_shown_as_configured(kept: int) -> None:
    garbage = b"\x15\x03\x01\x00\x02\x02\x46" + b"x" * 300
    async with raw_upstream(says(garbage)) as upstream, running_hop(upstream.address, keep_first_bytes=kept) as hop:
        await hop.get()
        (attempt,) = (await hop.record())["attempts"]
        assert "TLS alert" in attempt["details"]
        if kept == 0:
            assert attempt["first_bytes"] is None
        else:
            assert attempt["first_bytes"].startswith("\\x15\\x03\\x01\\x00\\x02\\x02F")
            assert len(attempt["first_bytes"].replace("\\x15\\x03\\x01\\x00\\x02\\x02", "......")) == kept


async def test_a_response_before_the_request_is_out_costs_the_connection() -> None:
    """It may not carry another request: the endpoint would take the rest of this one for the next."""
    done = asyncio.Event()

    async def answers_early(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(OK)
        assert len(await reader.read()) < 1000
        done.set()

    async with raw_upstream(answers_early) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
        answer = read_answer(await client.until(b"ok"))
        assert (answer.status, answer.one("Connection")) == (200, b"close")
        await until(done.is_set, what="the endpoint sees the end of the connection")
        assert (await hop.record())["error"] is None


def test_the_words_for_each_deadline_name_it() -> None:
    deadlines = Deadlines(TimeoutSettings.model_validate({"first_byte": "1500ms", "between_bytes": "2s", "send": "3s"}))
    assert deadlines.head_late == "no whole response head within 1.5 s"
    assert deadlines.silent == "no more of the body for 2 s"
    assert deadlines.stuck == "the peer took in no more of the request for 3 s"
    assert deadlines.whole_late == "the exchange was not over within 30 s"


async def test_a_client_that_leaves_when_asked_for_its_body_ends_the_sending_quietly() -> None:
    """Between a client's FIN and the end of its exchange the sender may still come to write to it."""

    def gone() -> None:
        raise ConnectionResetError("the client left")

    async with raw_upstream(says(then="hang")) as upstream, running_hop(upstream.address) as hop:
        attempt = made(hop, upstream.address, 5)
        await attempt.connect()
        body = RequestBody.__new__(RequestBody)
        body.small, body.chunked, body.expects_continue = None, False, True
        attempt.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", body, "POST", gone)
        await until(lambda: upstream.heads)
        attempt.cancel()
        attempt.finish()  # running_hop complains of a task whose exception nobody took


async def test_a_head_that_has_come_is_not_late_while_nobody_asks_for_the_body() -> None:
    """The client may be slow to take what is written to it: that is no time of the endpoint's."""
    partial = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", then="hang")
    async with (
        raw_upstream(partial) as upstream,
        running_hop(upstream.address, timeouts={"first_byte": "500ms"}) as hop,
    ):
        attempt = made(hop, upstream.address, 10)
        await attempt.connect()
        attempt.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY, "GET", lambda: None)
        await attempt.final_head(None, lambda head: None)
        late = asyncio.get_running_loop().time() + 0.5
        await until(lambda: asyncio.get_running_loop().time() > late + 0.03)  # the deadline's own timer is due before
        assert attempt.connection.error is None
        assert await attempt.next_bytes() == b"o"
        attempt.cancel()
        attempt.finish()


async def test_no_bytes_are_asked_for_when_the_whole_exchange_is_overdue() -> None:
    """Also where more are at hand already, as they always are when the client is slower than the endpoint."""
    half = says(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok", then="hang")
    async with raw_upstream(half) as upstream, running_hop(upstream.address) as hop:
        attempt = made(hop, upstream.address, 10)
        await attempt.connect()
        attempt.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", NO_BODY, "GET", lambda: None)
        await attempt.final_head(None, lambda head: None)
        attempt._whole = asyncio.get_running_loop().time() - 1
        with pytest.raises(HopError, match="the exchange was not over") as late:
            await attempt.next_bytes()
        assert late.value.error is ErrorType.HTTP_RESPONSE_TIMEOUT
        attempt.cancel()
        attempt.finish()
