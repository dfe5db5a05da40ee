"""Relay mode: a real service's answers, whole and broken."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from badgateway_upstream.app.relay import backend_address
from tests.support.instance import HereInstance, here

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def backend(script: Script) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0)


def saying(data: bytes, heads: list[bytes] | None = None) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head)
        writer.write(data)
        await writer.drain()

    return script


def staying(data: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(data)(reader, writer)
        await reader.read()

    return script


@asynccontextmanager
async def relaying(script: Script) -> AsyncIterator[HereInstance]:
    async with backend(script) as url, here(backend=url) as app:
        yield app


WHOLE = b"HTTP/1.1 200 Fine\r\nX-Odd:  kept \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n"])
async def test_bytes_pass_as_they_are_and_the_connection_stays(answer: bytes) -> None:
    async with relaying(staying(answer)) as app, app.client() as client:
        for _ in range(2):
            await client.get()
            assert await client.until(answer) == answer
            client.packets.clear()
        assert await client.silent()


async def test_only_host_and_connection_are_edited() -> None:
    heads: list[bytes] = []
    async with backend(saying(WHOLE, heads)) as url, here(backend=url) as app, app.client() as client:
        await client.send(b"GET /a%2fb?c=d HTTP/1.1\r\nHost: shop\r\nX-Odd: \xff\r\nconnection: close\r\nB: c\r\n\r\n")
        assert await client.all() == WHOLE
        authority = url.removeprefix("http://").encode()
    assert heads == [
        b"GET /a%2fb?c=d HTTP/1.1\r\nHost: " + authority + b"\r\nConnection: keep-alive\r\nX-Odd: \xff\r\nB: c\r\n\r\n"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"220 no HTTP at all, of some length\r\n",
        b"HTTP/1.1 200 OK\r\nHalf-a-he",
        b"",
    ],
)
async def test_what_breaks_there_breaks_here(answer: bytes) -> None:
    async with relaying(saying(answer)) as app, app.client() as client:
        await client.get()
        assert await client.all() == answer
        assert client.end == "fin"


async def test_interim_responses_pass() -> None:
    both = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + WHOLE
    async with relaying(staying(both)) as app, app.client() as client:
        await client.get()
        assert await client.until(b"hello") == both


async def test_head_has_no_body() -> None:
    head = WHOLE.partition(b"hello")[0]
    async with relaying(staying(head)) as app, app.client() as client:
        for _ in range(2):
            await client.get(method="HEAD")
            assert await client.until(b"\r\n\r\n") == head
            client.packets.clear()


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"Content-Length: 200000", b"x" * 200_000),
        (b"Transfer-Encoding: chunked", b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n"),
    ],
)
async def test_request_bodies_are_streamed(framing: bytes, sent: bytes) -> None:
    received = bytearray()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readuntil(b"\r\n\r\n"))
        received.clear()
        while not received.endswith((b"x" * 200_000, b"0\r\n\r\n")):
            received.extend(await reader.read(65536))
        writer.write(WHOLE)

    async with relaying(script) as app, app.client() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + sent)
        assert await client.until(b"hello") == WHOLE
    assert received.count(b"x") == sent.count(b"x")


async def test_faults_break_its_answer() -> None:
    async with relaying(staying(WHOLE)) as app, app.client() as client:
        app.fault("truncate", at=2)
        await client.get()
        assert await client.all() == WHOLE[:-3]


async def test_faults_break_a_chunked_answer() -> None:
    async with relaying(staying(CHUNKED)) as app, app.client() as client:
        app.fault("truncate", at="50%")
        await client.get()
        got = await client.all()
        assert CHUNKED.startswith(got)
        assert len(got) < len(CHUNKED)


async def test_a_stream_is_passed_on_as_it_comes_under_a_script_too() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")(reader, writer)
        await reader.read()

    async with relaying(script) as app, app.client() as client:
        app.fault("bad_header")
        await client.get()
        await client.until(b"data: 1\n\n")
        assert await client.silent()


async def test_an_answer_of_http_1_0_ends_the_connection() -> None:
    old = WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")
    async with relaying(staying(old)) as app, app.client() as client:
        await client.get()
        assert await client.all() == old


async def test_an_exception_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async with relaying(staying(WHOLE)) as app, app.client() as client:
        app.fault("exception")
        await client.get()
        assert (await client.all()).startswith(b"HTTP/1.1 500 ")
    assert "BugError" in caplog.text


async def test_an_unreachable_backend_is_an_honest_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with here(backend=f"http://127.0.0.1:{port}") as app, app.client() as client:
        await client.get()
        got = await client.all()
        assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert f"the backend http://127.0.0.1:{port} cannot be reached".encode() in got
        assert b"refused" in got.lower()


async def test_an_upgrade_becomes_a_tunnel() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: Upgrade\r\n" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data.upper())

    async with relaying(script) as app, app.client() as client:
        await client.send(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        await client.until(b"\r\n\r\n")
        await client.send(b"ping")
        await client.until(b"PING")
        client.half_close()
        await client.all()
        assert client.end == "fin"


async def test_a_public_backend_is_refused() -> None:
    async with here(backend="http://8.8.8.8:80") as app, app.client() as client:
        await client.get()
        got = await client.all()
        assert b" 502 " in got
        assert b"--allow-public" in got


@pytest.mark.parametrize(
    "url", ["https://a", "http://", "http://u@h", "http://h/path", "http://h?q", "ftp://h", "h:80", "http://h:99999"]
)
def test_wrong_backends_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        backend_address(url)


def test_backend_addresses() -> None:
    assert backend_address("http://localhost:3000/") == ("localhost", 3000)
    assert backend_address("http://[::1]") == ("::1", 80)
