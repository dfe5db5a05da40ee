"""A request's body on its way through: framing kept, sizes capped, slowness limited, never buffered whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.answers import dechunked, read_answer
from tests.support.bodies import Collector, post, upload_until_refused
from tests.support.peers import OK, field, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop

# -- framing -------------------------------------------------------------------------------------------


async def test_a_length_stays_a_length() -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Content-Length: 5", body=b"hello"))
        assert await client.answer() == b"ok"
        assert collector.bodies == [b"hello"]
        assert upstream.heads[0].lower().count(b"\r\ncontent-length: 5\r\n") == 1
        assert b"transfer-encoding" not in upstream.heads[0].lower()
        assert (await hop.record())["request_bytes"] == 5


async def test_chunks_that_are_all_there_are_sent_with_a_length() -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Transfer-Encoding: chunked", body=b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: x\r\n\r\n"))
        assert await client.answer() == b"ok"
        assert collector.bodies == [b"hello"]
        assert b"transfer-encoding" not in upstream.heads[0].lower()


async def test_chunks_that_come_by_and_by_stay_chunks() -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Transfer-Encoding: chunked"))
        await until(lambda: upstream.heads, what="the head goes on before the body is there")
        assert field(upstream.heads[0], b"content-length") is None
        assert upstream.heads[0].lower().count(b"\r\ntransfer-encoding: chunked\r\n") == 1
        await client.send(b"3\r\nhel\r\n2;x=y\r\nlo\r\n")
        await client.send(b"0\r\nTrailer: dropped\r\n\r\n")
        assert await client.answer() == b"ok"
        assert dechunked(collector.bodies[0]) == (b"hello", True)
        assert (await hop.record())["request_bytes"] == 5
        await client.send(post("Content-Length: 2", body=b"ok"))
        assert await client.answer() == b"ok"
        assert upstream.connections == 1


@pytest.mark.parametrize("sent", [post("Content-Length: 0"), post("Transfer-Encoding: chunked", body=b"0\r\n\r\n")])
async def test_an_empty_body_has_a_length_of_0(sent: bytes) -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(sent)
        assert await client.answer() == b"ok"
        assert field(upstream.heads[0], b"content-length") == b"0"


async def test_no_body_gets_no_length() -> None:
    collector = Collector()
    async with raw_upstream(collector.script) as upstream, running_hop(upstream.address) as hop:
        await hop.get()
        assert field(upstream.heads[0], b"content-length") is None
        assert field(upstream.heads[0], b"transfer-encoding") is None


@pytest.mark.parametrize("chunked", [False, True])
async def test_64_mib_go_through_without_being_held(chunked: bool) -> None:
    """The endpoint reads nothing at first: the client must come to a stop long before the end."""
    size, block = 64 << 20, bytes(1 << 16)
    go = asyncio.Event()
    received = 0

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await upstream.read_head(reader)
        await go.wait()
        if chunked:
            while (line := await reader.readline()) != b"0\r\n":
                received += len(await reader.readexactly(int(line, 16)))
                await reader.readline()
        else:
            while received < size:
                received += len(await reader.read(1 << 20))
        writer.write(OK)

    async with raw_upstream(script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"))
        sent = 0

        async def upload() -> None:
            nonlocal sent
            framed = b"%x\r\n%b\r\n" % (len(block), block) if chunked else block
            while sent < size:
                await client.send(framed)
                sent += len(block)
            if chunked:
                await client.send(b"0\r\n\r\n")

        uploading = asyncio.create_task(upload())
        await until(lambda: sent > 1 << 20)
        stopped_at = await standstill(lambda: sent)
        assert stopped_at < size // 2
        go.set()
        await uploading
        assert await client.answer() == b"ok"
        assert received == size
        assert (await hop.record())["request_bytes"] == size


async def standstill(value: Callable[[], int]) -> int:
    """Where `value()` is once it has not changed for 50 ms."""
    last, since = value(), 0
    async with asyncio.timeout(10):
        while since < 5:
            await asyncio.sleep(0.01)
            now = value()
            since = since + 1 if now == last else 0
            last = now
    return last


# -- sizes ---------------------------------------------------------------------------------------------


async def test_a_chunked_body_is_cut_off_where_it_exceeds_the_limit() -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        upstream.heads.append(await reader.read())

    async with (
        raw_upstream(script) as upstream,
        running_hop(upstream.address, limits={"request_body": 10}) as hop,
        hop.client() as client,
    ):
        await client.send(post("Transfer-Encoding: chunked"))
        await client.send(b"8\r\n12345678\r\n")
        await until(lambda: upstream.heads)
        await client.send(b"3\r\n9ab\r\n")
        answer = read_answer(await client.all())
        assert (answer.status, answer.error, answer.one("Connection")) == (413, "http_request_error", b"close")
        record = await hop.record()
        assert (record["status"], record["error"]) == (413, "http_request_error")
        await until(lambda: len(upstream.heads) == 2, what="the endpoint sees the end of the attempt")
        assert not upstream.heads[1].endswith(b"0\r\n\r\n")
        assert hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 0


async def test_a_small_chunked_body_over_the_limit_reaches_nobody() -> None:
    async with (
        raw_upstream(says(OK)) as upstream,
        running_hop(upstream.address, limits={"request_body": 4}) as hop,
    ):
        answer = read_answer(await hop.send(post("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n")))
        assert answer.status == 413
        assert upstream.connections == 0


async def test_a_declared_body_over_the_limit_is_refused_at_once_and_read_a_while() -> None:
    async with (
        raw_upstream(says(OK)) as upstream,
        running_hop(upstream.address, limits={"request_body": 1000}) as hop,
        hop.client() as client,
    ):
        await client.send(post("Content-Length: 3000000", body=bytes(1000)))
        await client.until(b"\r\n\r\n")
        for _ in range(300):
            await client.send(bytes(10_000))  # raises on a RST
        async with asyncio.timeout(1):
            answer = read_answer(await client.all())  # whose end is there without the client's ending anything
        assert (answer.status, answer.error) == (413, "http_request_error")
        assert client.end == "fin"
        assert upstream.connections == 0


# -- slowness ------------------------------------------------------------------------------------------


async def holds(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upstream.read_head(reader)
    while await reader.read(65536):
        pass


@pytest.mark.parametrize(
    ("headers", "bodies"),
    [
        (["Content-Length: 10"], [b""]),
        (["Content-Length: 10"], [b"half"]),
        (["Transfer-Encoding: chunked"], [b"3\r\nhel\r\n"]),
        (["Transfer-Encoding: chunked"], [b"3\r\nhe"]),
    ],
)
async def test_a_body_that_does_not_come_gets_a_408(headers: list[str], bodies: list[bytes]) -> None:
    async with (
        raw_upstream(holds) as upstream,
        running_hop(upstream.address, timeouts={"client_body": "60ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(post(*headers))
        for body in bodies:
            await client.send(body)
        answer = read_answer(await client.all())
        assert (answer.status, answer.error, answer.one("Connection")) == (408, "http_request_error", b"close")
        record = await hop.record()
        assert (record["status"], record["error"], record["generated"]) == (408, "http_request_error", True)
        assert hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 0


async def test_a_drip_of_body_bytes_does_not_renew_the_deadline() -> None:
    async with (
        raw_upstream(holds) as upstream,
        running_hop(upstream.address, timeouts={"client_body": "120ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(post("Content-Length: 1000"))
        for _ in range(100):
            await client.send(b"x")
            if not await client.silent(0.01):
                break
        else:
            pytest.fail("no answer to a drip that lasted far longer than the deadline")
        answer = read_answer(await client.all())
        assert answer.status == 408


async def test_when_all_time_is_up_while_the_client_still_sends_it_is_the_clients_fault() -> None:
    async with (
        raw_upstream(holds) as upstream,
        running_hop(upstream.address, timeouts={"request": "400ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(post("Content-Length: 1000", body=b"x"))
        answer = read_answer(await client.all())
        assert (answer.status, answer.error) == (408, "http_request_error")


async def test_an_endpoint_that_takes_nothing_in_is_not_the_clients_fault() -> None:
    async def takes_nothing(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with (
        raw_upstream(takes_nothing) as upstream,
        running_hop(upstream.address, timeouts={"send": "300ms", "client_body": "200ms"}) as hop,
        hop.client() as client,
    ):
        await client.send(post("Content-Length: 67108864"))
        uploading = asyncio.create_task(upload_until_refused(client, 67108864))
        await client.until(b"\r\n\r\n")
        answer = read_answer(client.data)
        assert (answer.status, answer.error) == (504, "connection_write_timeout")
        uploading.cancel()
        record = await hop.record()
        assert record["attempts"][0]["phase"] == "send"
        assert hop.hop.breaker.snapshot(hop.hop.clock.now())["failures"] == 1


# -- broken half way -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"zz\r\nhello\r\n", b"5\r\nhelloX", b"fffffffffffffffff\r\n", b"\n\n"])
async def test_a_bad_chunk_in_a_later_packet_gets_a_400_and_nothing_hangs(bad: bytes) -> None:
    async with raw_upstream(holds) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Transfer-Encoding: chunked"))
        await client.send(b"5\r\nhello\r\n")
        await until(lambda: upstream.heads)
        await client.send(bad)
        answer = read_answer(await client.all())
        assert (answer.status, answer.error) == (400, "http_request_error")
        record = await hop.record()
        assert (record["status"], record["error"], record["client_gone"]) == (400, "http_request_error", False)
        assert hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 0


async def test_garbage_behind_a_complete_body_does_not_spoil_it() -> None:
    go = asyncio.Event()

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        await go.wait()
        upstream.heads.append(await reader.readexactly(200_000))
        writer.write(OK)

    async with raw_upstream(script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(post("Content-Length: 200000", body=bytes(200_000)) + b"\xff\xfegarbage\r\n\r\n")
        await until(lambda: upstream.heads)
        go.set()
        assert await client.answer() == b"ok"
        assert read_answer(await client.all()).status == 400
        assert [record["status"] for record in await hop.records(2)] == [200, 400]
