"""A client that waits for 100 Continue, and one that is answered before it has sent its whole body."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.answers import read_answer, read_answers
from tests.support.bodies import Collector, post, upload_until_refused
from tests.support.peers import OK, field, full_backlog, refused_address, reset
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


# -- 100-continue: RFC 9110 section 10.1.1 --------------------------------------------------------------


async def test_100_is_sent_when_the_body_is_wanted() -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Content-Length: 5", "Expect: 100-continue"))
        assert await client.until(CONTINUE) == CONTINUE
        await client.send(b"hello")
        interim, answer = read_answers(await client.until(b"ok"))
        assert (interim.status, answer.data) == (100, b"ok")
        assert collector.bodies == [b"hello"]
        assert field(upstream.heads[0], b"expect") is None


async def test_100_is_not_sent_for_a_body_that_is_already_there() -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Content-Length: 5", "Expect: 100-continue", body=b"hello"))
        assert read_answer(await client.until(b"ok")).data == b"ok"


async def test_100_is_not_sent_to_a_client_of_http_1_0() -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Content-Length: 5", "Expect: 100-continue", version="1.0"))
        assert await client.silent(0.03)
        await client.send(b"hello")
        assert read_answer(await client.all()).data == b"ok"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Content-Length: 3000"], 413),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (["Content-Length: 5"], 502),
    ],
    ids=["too large", "ambiguous", "no endpoint"],
)
async def test_without_100_where_the_answer_is_known_before(headers: list[str], status: int) -> None:
    with refused_address() as address:
        async with running_hop(address, limits={"request_body": 1000}) as hop, hop.client() as client:
            await client.send(post(*headers, "Expect: 100-continue"))
            await client.until(b"\r\n\r\n")
            client.half_close()
            answer = read_answer(await client.all())
            assert (answer.status, answer.one("Connection")) == (status, b"close")
            assert (await hop.record())["request_bytes"] == 0


async def test_100_once_however_often_it_is_tried() -> None:
    async def first_dies(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        if upstream.connections == 1:
            reset(writer)
            return
        upstream.heads.append(await reader.readexactly(5))
        writer.write(OK)

    async with (
        raw_upstream(first_dies) as upstream,
        running_hop(upstream.address, retry={"attempts": 2, "methods": "any", "backoff": {"base": "0s"}}) as hop,
        hop.client() as client,
    ):
        await client.send(post("Content-Length: 5", "Expect: 100-continue"))
        await until(lambda: upstream.connections == 2)
        await client.send(b"hello")
        interim, answer = read_answers(await client.until(b"ok"))
        assert (interim.status, answer.status) == (100, 200)
        assert len((await hop.record())["attempts"]) == 2


# -- answered before it was all sent ---------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["close", "reset", "hang"])
async def test_an_early_answer_reaches_a_client_that_is_still_uploading(ending: str) -> None:
    """All real proxies relay the 413, though the endpoint's close turns into a RST while they still write."""
    early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much"

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(early)
        await writer.drain()
        if ending == "hang":
            await asyncio.Event().wait()
        if ending == "reset":
            writer.transport.abort()

    async with raw_upstream(script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Content-Length: 3000000"))
        uploading = asyncio.create_task(upload_until_refused(client, 3_000_000))
        await client.until(b"too much")
        answer = read_answer(client.data)
        assert (answer.status, answer.data, answer.one("Connection")) == (413, b"too much", b"close")
        assert answer.members[-1].received_status == 413
        uploading.cancel()
        record = await hop.record()
        assert (record["status"], record["generated"], record["error"]) == (413, False, None)


async def test_an_answer_to_a_retried_body_is_the_same_body() -> None:
    collector = Collector()

    async def first_dies(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if upstream.connections == 1:
            await upstream.read_head(reader)
            reset(writer)
        else:
            await collector.script(upstream, reader, writer)

    async with (
        raw_upstream(first_dies) as upstream,
        running_hop(upstream.address, retry={"attempts": 2, "backoff": {"base": "0s"}}) as hop,
    ):
        put = post("Content-Length: 5", "Connection: close", body=b"hello").replace(b"POST", b"PUT")
        assert read_answer(await hop.send(put)).data == b"ok"
        assert collector.bodies == [b"hello"]


async def test_a_connection_being_made_in_vain_is_the_endpoints_fault_though_the_body_is_missing() -> None:
    async with full_backlog() as address, running_hop(address, timeouts={"connect": "50ms"}) as hop:
        answer = read_answer(await hop.send(post("Content-Length: 5", "Connection: close", body=b"hello")))
        assert (answer.status, answer.error) == (504, "connection_timeout")
