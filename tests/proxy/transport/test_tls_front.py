"""TLS towards clients: HTTP as ever on top of it, and sense made of whoever does not speak it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support import tls
from tests.support.answers import read_answer
from tests.support.peers import field, healthy, says
from tests.support.processes import until
from tests.support.rawclient import raw_client
from tests.support.wire import RunningHop, raw_upstream, running_hop

GET = b"GET /x HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@pytest.fixture
def front(tmp_path: Path) -> dict[str, Any]:
    files = tls.files(tmp_path)
    return {"tls": {"enabled": True, "certificate": files["certificate"], "key": files["key"]}}


async def connected(
    hop: RunningHop, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*hop.address.split(":"), ssl=context or tls.client("h2", "http/1.1"))


async def ask(hop: RunningHop, request: bytes = GET) -> bytes:
    """Everything that comes until the hop ends the connection."""
    reader, writer = await connected(hop)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_a_request_over_tls_goes_on_as_one_that_came_over_tls(front: dict[str, Any]) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, **front) as hop:
        reader, writer = await connected(hop)
        secure = writer.get_extra_info("ssl_object")
        assert (secure.version(), secure.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
        for _ in range(3):
            writer.write(GET)
            answer = await reader.readuntil(b"ok")
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
    assert len(upstream.heads) == 3
    for head in upstream.heads:
        assert field(head, b"x-forwarded-proto") == b"https"
        assert field(head, b"forwarded") == b'for=127.0.0.1;proto=https;host="shop.example"'


async def test_whoever_said_first_that_it_was_http_is_believed(front: dict[str, Any]) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nForwarded: for=10.0.0.1;proto=http\r\n"
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, **front) as hop:
        await ask(hop, request + b"Connection: close\r\n\r\n")
    assert field(upstream.heads[0], b"x-forwarded-proto") == b"http"
    assert field(upstream.heads[0], b"forwarded") == b'for=10.0.0.1;proto=http, for=127.0.0.1;proto=https;host="a"'


async def test_a_response_that_is_cut_short_is_cut_short_in_tls_too(front: dict[str, Any]) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    async with raw_upstream(says(half)) as upstream, running_hop(upstream.address, **front) as hop:
        assert (await ask(hop)).endswith(b"\r\n\r\nhalf")
        assert (await hop.record())["truncated"]


async def test_a_body_that_nobody_wants_does_not_keep_the_client_from_its_answer(front: dict[str, Any]) -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n" + bytes(400_000)
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, **front, limits={"request_body": 1000}) as hop,
    ):
        answer = read_answer(await ask(hop, request))
    assert answer.status == 413


async def test_much_passes_whole(front: dict[str, Any]) -> None:
    body = bytes(range(256)) * 20_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
    async with raw_upstream(says(answer)) as upstream, running_hop(upstream.address, **front) as hop:
        got = await ask(hop, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert got.partition(b"\r\n\r\n")[2] == body


async def test_plain_http_on_the_tls_port_is_told_so_in_plain_http(front: dict[str, Any]) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, **front) as hop:
        answer = read_answer(await hop.send(GET))
        assert (answer.status, answer.error) == (400, "http_request_error")
        assert b"plain HTTP on a TLS port: write https://" in (answer.one("Proxy-Status") or b"")
        record = await hop.record()
    assert (record["status"], record["method"], record["target"]) == (400, "GET", "/x")
    assert record["details"] == "plain HTTP on a TLS port: write https://"
    assert upstream.connections == 0


async def test_garbage_on_the_tls_port_gets_the_same(front: dict[str, Any]) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, **front) as hop:
        assert read_answer(await hop.send(b"\x00\x01\x02")).status == 400


async def test_tls_on_a_plain_port_is_a_bad_request() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        with pytest.raises(ssl.SSLError):
            await connected(hop)
        record = await hop.record()
    assert (record["status"], record["details"]) == (400, "a TLS handshake on a plaintext port")


async def test_a_handshake_that_fails_is_logged_with_its_reason(
    front: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    distrustful = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    newer = tls.client("h3")
    newer.maximum_version = ssl.TLSVersion.TLSv1_2
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, tls={**front["tls"], "min_version": "TLSv1.3"}) as hop,
    ):
        # Python's blocking client sends its alert; asyncio's does not.
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(ssl_connect, hop.port, distrustful)
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(ssl_connect, hop.port, newer)
        async with raw_client(hop.address) as client:
            await client.send(b"\x16\x03\x01")
            client.half_close()
            await client.all()
        await until(lambda: len(caplog.messages) == 3, what="three lines")
        assert hop.hop.recorder.totals()["exchanges"] == 0
    assert caplog.messages == [
        "a client's TLS handshake failed: the client ended it with the alert unknown_ca (48)",
        "a client's TLS handshake failed: unsupported protocol",
        "a client's TLS handshake failed: the client closed the connection",
    ]


def ssl_connect(port: int, context: ssl.SSLContext) -> None:
    import socket

    with (
        socket.create_connection((tls.HOST, port), 5) as sock,
        context.wrap_socket(sock, server_hostname=tls.HOST) as secure,
    ):
        secure.recv(1)  # in TLS 1.3 the server's refusal may come after the client's part is over


async def test_a_client_that_stalls_in_the_handshake_is_let_go(
    front: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, **front, timeouts={"client_head": "50ms"}) as hop,
        raw_client(hop.address) as client,
    ):
        await client.send(b"\x16\x03\x01\x02\x00")
        await client.all()
        await until(lambda: caplog.messages, what="a line")
    assert caplog.messages == ["a client's TLS handshake failed: it was not over within 0.05 s"]


async def test_handshakes_count_as_connections(front: dict[str, Any]) -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, **front, limits={"connections": 2}) as hop,
        raw_client(hop.address) as first,
        raw_client(hop.address) as second,
    ):
        await first.send(b"\x16")
        await second.send(b"\x16")
        async with raw_client(hop.address) as third:
            assert await third.all() == b""
        first.close()
        second.close()
        reader, writer = await until_connected(hop)
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.close()


async def until_connected(hop: RunningHop) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await connected(hop)
        except ConnectionError:  # those that left are not yet seen to have left
            await asyncio.sleep(0.01)
