"""Where an exchange meets its deadlines: of each phase, and of the whole."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.answers import read_answer, read_answers
from tests.support.exchanges import until_gone
from tests.support.peers import OK, full_backlog, refused_address, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop

# -- deadlines -----------------------------------------------------------------------------------------


async def test_no_connection_in_time_is_a_504() -> None:
    async with full_backlog() as address, running_hop(address, timeouts={"connect": "60ms"}) as hop:
        answer = read_answer(await hop.get())
        assert (answer.status, answer.error) == (504, "connection_timeout")
        record = await hop.record()
        assert record["attempts"][0]["phase"] == "connect"
        assert 0.055 <= record["attempts"][0]["phases"]["connect"] < 1


async def test_a_refused_connection_is_a_502_that_names_the_address() -> None:
    with refused_address() as address:
        async with running_hop(address) as hop:
            answer = read_answer(await hop.get())
            assert (answer.status, answer.error) == (502, "connection_refused")
            assert answer.members[-1].next_hop == address
            assert address in answer.problem["details"]
            assert (await hop.record())["attempts"][0]["phase"] == "connect"


async def test_a_peer_that_hangs_is_a_504_and_is_hung_up_on() -> None:
    async with (
        raw_upstream(until_gone) as upstream,
        running_hop(upstream.address, timeouts={"first_byte": "60ms"}) as hop,
    ):
        answer = read_answer(await hop.get())
        assert (answer.status, answer.error) == (504, "http_response_timeout")
        assert answer.problem["details"] == "no whole response head within 0.06 s"
        await until(lambda: upstream.heads[-1] == b"gone")
        (attempt,) = (await hop.record())["attempts"]
        assert (attempt["phase"], attempt["error"]) == ("wait", "http_response_timeout")
        assert 0.055 <= attempt["phases"]["wait"] < 5


@pytest.mark.parametrize(
    "head",
    [OK[:20] + b"A" * 500, b"H" * 500, b"HTTP/1.1 100 Continue\r\n\r\n" * 20, b"\r\n" * 250],
    ids=["header", "garbage-like", "interim responses", "empty lines"],
)
async def test_a_drip_of_head_bytes_does_not_renew_its_deadline(head: bytes) -> None:
    """nginx, HAProxy, Envoy, Caddy and Traefik hold it to one deadline; Varnish and Apache renew theirs."""

    async def drips(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        for n in range(0, len(head), 4):
            writer.write(head[n : n + 4])
            await asyncio.sleep(0.01)

    async with raw_upstream(drips) as upstream, running_hop(upstream.address, timeouts={"first_byte": "80ms"}) as hop:
        answer = read_answers(await hop.get())[-1]
        if head.startswith(b"HH"):
            assert answer.status == 502  # llhttp sees at the second byte that it is none
        else:
            assert (answer.status, answer.error) == (504, "http_response_timeout")


@pytest.mark.parametrize("sent", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
async def test_an_interim_response_is_not_the_head(sent: bytes) -> None:
    async with (
        raw_upstream(says(sent, then="hang")) as upstream,
        running_hop(upstream.address, timeouts={"first_byte": "60ms"}) as hop,
    ):
        answer = read_answers(await hop.get())[-1]
        assert (answer.status, answer.error) == (504, "http_response_timeout")
        assert (await hop.record())["attempts"][0]["status"] is None


async def test_body_bytes_renew_theirs() -> None:
    async def drips(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.16)
            writer.write(b"x")

    async with (
        raw_upstream(drips) as upstream,
        running_hop(upstream.address, timeouts={"between_bytes": "1s", "first_byte": "1s"}) as hop,
    ):
        assert read_answer(await hop.get()).data == b"xxxxxxxx"
        record = await hop.record()
        assert record["duration"] > 1.2
        assert record["attempts"][0]["phases"]["receive"] > 1


@pytest.mark.parametrize("headers", [False, True])
async def test_the_whole_exchange_has_a_deadline(headers: bool) -> None:
    async def drips(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        if headers:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while headers:
            writer.write(b"x")
            await asyncio.sleep(0.01)
        await reader.read()

    async with raw_upstream(drips) as upstream, running_hop(upstream.address, timeouts={"request": "400ms"}) as hop:
        answer = read_answer(await hop.get())
        record = await hop.record()
        assert (record["error"], record["details"]) == (
            "http_response_timeout",
            "the exchange was not over within 0.4 s",
        )
        assert (answer.status, record["truncated"]) == ((200, True) if headers else (504, False))
        assert 0.395 <= record["duration"] < 4


async def test_the_whole_deadline_holds_for_a_client_that_is_slow_but_steady() -> None:
    async def pours(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()

    async with (
        raw_upstream(pours) as upstream,
        running_hop(upstream.address, timeouts={"request": "400ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while await client.packet():
            client.packets.clear()
            await asyncio.sleep(0.002)  # slower than the endpoint, so that something is always at hand
        record = await hop.record()
        assert (record["error"], record["truncated"]) == ("http_response_timeout", True)
        assert 0.395 <= record["duration"] < 5
