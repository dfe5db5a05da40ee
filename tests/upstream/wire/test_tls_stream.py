"""TLS under an app's connection: half-closes, stalls and floods, as without it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tests.support.instance import HereInstance, here
from tests.support.processes import until

REQUEST = b"GET /products/1 HTTP/1.1\r\nHost: shop.example\r\n\r\n"


def careless() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def connected(app: HereInstance) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = app.instance.listen.rpartition(":")
    return await asyncio.open_connection(host, int(port), ssl=careless())


def open_connections(app: HereInstance) -> int:
    count = app.instance.state()["open"]
    assert isinstance(count, int)
    return count


async def test_one_request_after_the_other() -> None:
    async with here(tls=True) as app:
        reader, writer = await connected(app)
        for _ in range(3):
            writer.write(REQUEST)
            assert b"Tin of tea" in await reader.readuntil(b"}\n")
        assert app.instance.state()["requests"] == 3
        writer.close()
        await until(lambda: not open_connections(app), what="the end")


async def test_a_request_that_says_close_is_answered_and_ended_in_order() -> None:
    async with here(tls=True) as app:
        reader, writer = await connected(app)
        writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        async with asyncio.timeout(5):
            assert (await reader.read()).endswith(b"}\n")
        writer.close()


async def test_a_large_upload_passes(tmp_path: Path) -> None:
    async with here(tls=True) as app:
        reader, writer = await connected(app)
        body = b"x" * 3_000_000
        writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
        async with asyncio.timeout(10):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 ")
        writer.close()


async def test_who_stalls_in_the_handshake_is_let_go_like_any_idle_client() -> None:
    async with here(tls=True, keep_alive="100ms") as app, app.client() as client:
        await client.send(b"\x16\x03\x01")
        await client.all()
        await until(lambda: not open_connections(app), what="the end")


async def test_who_speaks_plain_http_is_hung_up_on() -> None:
    async with here(tls=True) as app:
        async with app.client() as client:
            await client.get()
            assert await client.all() == b""
        await until(lambda: not open_connections(app), what="the end")
        assert app.instance.state()["requests"] == 0


async def test_who_leaves_in_the_handshake_is_gone() -> None:
    async with here(tls=True) as app:
        async with app.client() as client:
            await client.send(b"\x16\x03\x01")
            client.half_close()
            await client.all()
        await until(lambda: not open_connections(app), what="the end")


async def test_stopping_waits_for_nobody_in_a_handshake() -> None:
    async with here(tls=True) as app, app.client() as client:
        await client.send(b"\x16\x03\x01")
        await until(lambda: open_connections(app) == 1, what="a connection")
        await app.instance.stop()
        await client.all()
