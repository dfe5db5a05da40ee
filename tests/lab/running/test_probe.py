from __future__ import annotations

import asyncio
import socket

import pytest

from badgateway.running.probe import Client, Pace, send
from badgateway.running.reading import Reading
from tests.support import tls
from tests.support.scripted import OK, request_id_of, scripted, sends


async def test_a_whole_response_is_seen_as_one() -> None:
    headers = b"X-A: 1\r\nX-A: 2\r\n"
    async with scripted(sends(b"HTTP/1.1 404 Not Here\r\n" + headers + b"Content-Length: 3\r\n\r\nabc")) as server:
        answer = await send(server.url, "GET", "/x?y=1", {"X-Mine": "é"})
    assert (answer.status, answer.reason, answer.body, answer.body_bytes) == (404, "Not Here", b"abc", 3)
    assert (answer.failure, answer.truncated, answer.end, answer.surplus) == (None, None, None, False)
    assert answer.header_values("x-a") == ["1", "2"]
    assert answer.header("X-A") == "1, 2"
    assert 0 < (answer.head_after or 0) <= answer.elapsed
    [head] = server.heads
    assert head.startswith(b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "X-Mine: é\r\n".encode() in head
    assert request_id_of(head) == answer.request_id != ""


async def test_a_request_id_and_a_host_of_ones_own_are_kept() -> None:
    async with scripted(sends(OK)) as server:
        answer = await send(server.url, headers=[("x-request-id", "mine"), ("host", "shop.test")])
    assert answer.request_id == "mine"
    assert server.heads[0].count(b"\r\n") == 4


async def test_a_body_is_sent_with_its_length() -> None:
    async with scripted(sends(OK, close=True)) as server:
        await send(server.url, "POST", "/", {}, b"hello")
    assert b"Content-Length: 5\r\n" in server.heads[0]


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nab", b"c\r\n0\r\nX-T: 1\r\n\r\n"), b"abc"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",), b""),
        ((b"HTTP/1.", b"1 200 OK\r\nContent-Le", b"ngth: 1\r\n\r\n", b"x"), b"x"),
    ],
)
async def test_bodies_end_where_they_should(parts: tuple[bytes, ...], body: bytes) -> None:
    async with scripted(sends(*parts)) as server:
        answer = await send(server.url, timeout=30)
    assert (answer.body, answer.truncated, answer.failure) == (body, None, None)
    assert answer.header("X-T") is None, "trailers are no headers"


async def test_a_response_to_head_has_no_body() -> None:
    async with scripted(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")) as server:
        answer = await send(server.url, "HEAD", timeout=30)
    assert (answer.status, answer.truncated) == (200, None)
    assert answer.header("content-length") == "99"


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with scripted(sends(b"HTTP/1.1 200 OK\r\n\r\nabc", close=True)) as server:
        answer = await send(server.url)
    assert (answer.body, answer.truncated, answer.end) == (b"abc", None, "FIN")


async def test_the_first_byte_of_a_body_is_timed_and_not_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, seen = asyncio.Event(), list[float]()

    class Watched(Reading):
        def on_body(self, data: bytes) -> None:
            super().on_body(data)
            seen.append(asyncio.get_running_loop().time() - self.started)
            arrived.set()

    async def the_rest_once_seen(head: bytes, writer: asyncio.StreamWriter) -> None:
        await sends(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")(head, writer)
        await arrived.wait()
        await sends(b"def")(head, writer)

    monkeypatch.setattr("badgateway.running.probe.Reading", Watched)
    async with scripted(the_rest_once_seen) as server:
        answer = await send(server.url)
    first, last = seen
    assert answer.head_after is not None
    assert answer.body_after is not None
    assert answer.head_after <= answer.body_after <= first < last <= answer.elapsed


async def test_without_a_body_there_is_no_first_byte_of_it() -> None:
    async with scripted(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server:
        answer = await send(server.url)
    assert (answer.status, answer.body_after) == (200, None)


@pytest.mark.parametrize(
    ("parts", "reset", "truncated"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",), False, "received 3 of 9 bytes"),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",),
            False,
            "received 3 bytes, and no last chunk",
        ),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",),
            False,
            "received 3 bytes, then: Invalid character in chunk size",
        ),
    ],
)
async def test_truncation_is_seen(parts: tuple[bytes, ...], reset: bool, truncated: str) -> None:
    async with scripted(sends(*parts, close=not reset, reset=reset)) as server:
        answer = await send(server.url)
    assert (answer.status, answer.body, answer.truncated, answer.failure) == (200, b"abc", truncated, None)


async def test_a_reset_in_the_body_is_told_from_an_orderly_end(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = asyncio.Event()

    class Watched(Reading):
        def on_body(self, data: bytes) -> None:
            super().on_body(data)
            arrived.set()

    async def reset_once_seen(head: bytes, writer: asyncio.StreamWriter) -> None:
        await sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")(head, writer)
        await arrived.wait()
        await sends(reset=True)(head, writer)

    monkeypatch.setattr("badgateway.running.probe.Reading", Watched)
    async with scripted(reset_once_seen) as server:
        answer = await send(server.url)
    assert (answer.body, answer.truncated, answer.end) == (b"abc", "received 3 of 9 bytes", "RST")


@pytest.mark.parametrize(
    ("parts", "reset", "failure", "details"),
    [
        ((), False, "closed", "the connection ended before any byte"),
        ((b"HTTP/1.1 200 OK\r\nX-",), False, "closed", "the connection ended after 19 bytes of no whole head"),
        ((), True, "reset", "the connection ended before any byte"),
        ((b"SSH-2.0-OpenSSH\r\n",), False, "not_http", "Expected HTTP/, RTSP/ or ICE/"),
    ],
)
async def test_no_response_says_why(parts: tuple[bytes, ...], reset: bool, failure: str, details: str) -> None:
    async with scripted(sends(*parts, close=not reset, reset=reset)) as server:
        answer = await send(server.url)
    assert (answer.status, answer.failure, answer.details) == (None, failure, details)
    assert answer.headers == ()
    assert answer.decided_by is None
    assert answer.first_bytes == (b"".join(parts) if failure == "not_http" else b"")


async def test_a_refused_connection_is_a_failure_not_an_exception() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        answer = await send(f"http://127.0.0.1:{held.getsockname()[1]}")
    assert answer.failure == "refused"


async def test_patience_ends_before_the_head_and_in_the_body() -> None:
    async with scripted(sends()) as server:
        silent = await send(server.url, timeout=0.05)
    assert (silent.failure, silent.details, silent.status) == ("timed_out", "no answer within 0.05 s", None)
    assert silent.elapsed >= 0.05
    async with scripted(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")) as server:
        stalled = await send(server.url, timeout=0.2)
    assert (stalled.status, stalled.failure) == (200, None)
    assert stalled.truncated == "received 3 bytes, then: no answer within 0.2 s"


async def test_interim_responses_are_kept() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with scripted(sends(early, OK)) as server:
        answer = await send(server.url)
    assert [(i.status, i.headers) for i in answer.interim] == [(103, (("Link", "</a>"),)), (100, ())]
    assert (answer.status, answer.body, answer.headers) == (200, b"ok", (("Content-Length", "2"),))


async def test_an_upgrade_is_a_final_response() -> None:
    async with scripted(sends(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes")) as server:
        answer = await send(server.url)
    assert (answer.status, answer.body) == (101, b"")


async def test_only_the_first_bytes_of_a_large_body_are_kept_and_all_are_counted() -> None:
    body = b"x" * 300_000
    async with scripted(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body)) as server:
        answer = await send(server.url, body_cap=10)
    assert (answer.body, answer.body_bytes, answer.truncated) == (b"x" * 10, 300_000, None)


async def test_an_endless_head_is_given_up() -> None:
    line = b"X-A: " + b"a" * 60_000 + b"\r\n"
    async with scripted(sends(b"HTTP/1.1 200 OK\r\n", *[line] * 20)) as server:
        answer = await send(server.url)
    assert (answer.failure, answer.details) == ("not_http", "more than 1 MiB of head")


async def test_surplus_bytes_spoil_the_connection_but_not_the_response() -> None:
    async with scripted(sends(OK + b"surplus")) as server:
        client = Client(server.url)
        answers = [await client.send("GET", "/") for _ in range(2)]
        client.close()
    assert [(a.status, a.body, a.surplus) for a in answers] == [(200, b"ok", True)] * 2
    assert server.connections == 2


async def test_a_client_reuses_a_connection_only_while_it_is_good() -> None:
    async with scripted(sends(OK)) as server:
        client = Client(server.url)
        for _ in range(3):
            assert (await client.send("GET", "/")).status == 200
        assert server.connections == 1
        client.close()
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with scripted(sends(closing)) as server:
        client = Client(server.url)
        for _ in range(2):
            await client.send("GET", "/")
        client.close()
        assert server.connections == 2


async def test_nothing_is_ever_sent_twice() -> None:
    async with scripted(sends(close=True)) as server:
        client = Client(server.url)
        answer = await client.send("GET", "/")
        client.close()
    assert answer.failure == "closed"
    assert len(server.heads) == 1


@pytest.mark.parametrize("headers", [{"A": "x\r\nB: y"}, {"A\n": "x"}])
async def test_a_line_break_cannot_be_smuggled_in(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="line break"):
        await send("http://127.0.0.1:1", headers=headers)
    with pytest.raises(ValueError, match="no http:// or https:// URL"):
        await send("ftp://x")


async def test_the_request_line_says_the_version_that_it_is_told_to() -> None:
    async with scripted(sends(OK)) as server:
        await send(server.url, version="3.7")
    assert server.heads[0].startswith(b"GET / HTTP/3.7\r\n")


async def test_a_slow_client_sends_little_by_little() -> None:
    async with scripted(sends(OK)) as server:
        began = asyncio.get_running_loop().time()
        answer = await send(server.url, "POST", "/", {}, b"hello", pace=Pace(40, 0.02))
        lasted = asyncio.get_running_loop().time() - began
    assert answer.status == 200
    assert lasted >= 0.02 * (len(server.heads[0]) // 40 - 1)


async def test_a_slow_client_stops_when_it_is_answered() -> None:
    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(at_once, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        answer = await send(url, pace=Pace(1, 3600.0), timeout=30)
    assert (answer.status, answer.failure) == (408, None)


async def test_https_is_spoken_to_whatever_certificate_there_is() -> None:
    async with scripted(sends(OK), tls=tls.server(tls.certificate("other.example", by="strangers"))) as upstream:
        client = Client(upstream.url)
        for _ in range(2):
            answer = await client.send("GET", "/")
            assert (answer.status, answer.body) == (200, b"ok")
        client.close()
    assert upstream.connections == 1


async def test_https_to_a_port_that_speaks_none_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(OK)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as listening:
        answer = await send(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    assert (answer.status, answer.failure, answer.details) == (None, "closed", "no TLS: WRONG_VERSION_NUMBER")
