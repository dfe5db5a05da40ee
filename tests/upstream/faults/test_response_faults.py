"""Faults of the response: what exactly is on the wire."""

from __future__ import annotations

import random

import pytest

from tests.support.instance import here
from tests.support.proofs import proves

BODY = b'{"id":1,"name":"Tin of tea","price_cents":790,"stock":120}\n'


async def sent(kind: str, **attributes: object) -> tuple[bytes, bytes]:
    """Head (with its empty line) and rest of what a client sees that closes its side after its request."""
    async with here() as app:
        app.fault(kind, **attributes)
        async with app.client() as client:
            await client.get("/products/1", "Connection: close")
            head, empty, rest = (await client.all()).partition(b"\r\n\r\n")
            assert client.end == "fin"
            assert [f["kind"] for f in app.firings] == [kind]
            return head + empty, rest


@proves("truncate")
@pytest.mark.parametrize(
    ("at", "cut"), [(0, 0), (7, 7), ("50%", 29), ("0%", 0), (-1, len(BODY) - 1), (-1000, 0), ("99%", 58)]
)
async def test_truncate(at: int | str, cut: int) -> None:
    head, rest = await sent("truncate", at=at)
    assert b"Content-Length: 59\r\n" in head
    assert rest == BODY[:cut]


async def test_truncate_leaves_requests_without_a_body_alone() -> None:
    async with here() as app:
        app.fault("truncate")
        async with app.client() as client:
            await client.get("/products/1", "Connection: close", method="HEAD")
            assert (await client.all()).endswith(b"\r\n\r\n")
        assert not app.firings


@proves("truncate_chunked")
async def test_truncate_chunked() -> None:
    head, rest = await sent("truncate_chunked", at=20)
    assert b"Transfer-Encoding: chunked\r\n" in head
    assert b"Content-Length" not in head
    assert rest == (b"3b\r\n" + BODY)[:20]


@proves("stall")
async def test_stall() -> None:
    async with here() as app:
        app.fault("stall", at=5)
        async with app.client() as client:
            await client.get()
            assert (await client.until(b'{"id"')).endswith(b"\r\n\r\n" + BODY[:5])
            assert await client.silent()
            app.instance.book.clear()
            assert (await client.all()).endswith(b"\r\n\r\n" + BODY[:5])
            assert client.end == "fin"


@proves("slow_head")
async def test_slow_head_comes_in_drips() -> None:
    async with here() as app:
        app.fault("slow_head", bytes=70, every="80ms")
        async with app.client() as client:
            await client.get()
            await client.until(BODY)
            assert [len(packet) for packet in client.packets[:2]] == [70, 70]


@proves("drip")
async def test_drip_of_the_body() -> None:
    async with here() as app:
        app.fault("drip", bytes=20, every="80ms")
        async with app.client() as client:
            await client.get()
            await client.until(BODY)
            assert client.data.endswith(b"\r\n\r\n" + BODY)
            assert client.packets[-2:] == [BODY[20:40], BODY[40:]]


@proves("garbage")
async def test_garbage_is_the_same_for_the_same_seed() -> None:
    head, rest = await sent("garbage", bytes=100, seed=3)
    assert head + rest == random.Random(3).randbytes(100) or b"\r\n\r\n" in head
    again = await sent("garbage", bytes=100, seed=3)
    other = await sent("garbage", bytes=100, seed=4)
    assert (head, rest) == again
    assert (head, rest) != other


@proves("not_http")
async def test_not_http() -> None:
    head, _ = await sent("not_http")
    assert head == b"220 mail.example.com ESMTP Postfix\r\n"
    head, _ = await sent("not_http", text=r"SSH-2.0-\x00\\")
    assert head == b"SSH-2.0-\x00\\"


@proves("bad_status_line")
async def test_bad_status_line() -> None:
    head, rest = await sent("bad_status_line")
    assert head.startswith(b"HTTP/1.1 2OO OK\r\nServer: ")
    assert rest == BODY


@proves("bad_header")
async def test_bad_header() -> None:
    head, rest = await sent("bad_header")
    assert head.endswith(b"\r\nThis line has no colon\r\n\r\n")
    assert rest == BODY


@proves("oversized_header")
async def test_oversized_header() -> None:
    head, rest = await sent("oversized_header", bytes=100_000)
    assert head.endswith(b"\r\nX-Oversized: " + b"x" * 100_000 + b"\r\n\r\n")
    assert rest == BODY


@proves("too_many_headers")
async def test_too_many_headers() -> None:
    head, rest = await sent("too_many_headers", count=5000)
    assert head.count(b"X-Many: header\r\n") == 5000
    assert rest == BODY


@proves("two_content_lengths")
async def test_two_content_lengths() -> None:
    head, rest = await sent("two_content_lengths", second=3)
    assert b"\r\nContent-Length: 59\r\n" in head
    assert b"\r\nContent-Length: 3\r\n" in head
    assert rest == BODY


@proves("content_length_and_chunked")
async def test_content_length_and_chunked() -> None:
    head, rest = await sent("content_length_and_chunked")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    assert b"\r\nContent-Length: 5\r\n" in head
    assert rest == b"3b\r\n" + BODY + b"\r\n0\r\n\r\n"


@proves("bad_chunk_size")
async def test_bad_chunk_size_comes_with_the_head() -> None:
    async with here() as app:
        app.fault("bad_chunk_size")
        async with app.client() as client:
            await client.get()
            await client.packet()
            assert client.data.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nhello\r\n0\r\n\r\n")
            # It is the receiver that has to notice: the connection stays open.
            assert await client.silent()


@proves("bad_chunk_size_later")
async def test_bad_chunk_size_later_comes_in_a_packet_of_its_own() -> None:
    async with here() as app:
        app.fault("bad_chunk_size_later", size="-5")
        async with app.client() as client:
            await client.get()
            await client.until(b"world")
            first, second = client.packets
            assert first.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            assert second == b"-5\r\nworld\r\n0\r\n\r\n"


@proves("surplus_bytes")
async def test_surplus_bytes_follow_in_the_same_packet() -> None:
    async with here() as app:
        app.fault("surplus_bytes", text="more", when={"first": 1})
        async with app.client() as client:
            await client.get()
            await client.until(b"more")
            assert client.data.endswith(BODY + b"more")
            assert len(client.packets) == 1
            client.packets.clear()
            await client.get()
            assert await client.answer() == BODY


@proves("bad_gzip")
async def test_bad_gzip() -> None:
    head, rest = await sent("bad_gzip")
    assert b"\r\nContent-Encoding: gzip\r\n" in head
    assert rest == BODY


@proves("early_hints")
async def test_early_hints() -> None:
    async with here() as app:
        app.fault("early_hints", count=2)
        async with app.client() as client:
            await client.get()
            await client.until(BODY)
            hint = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n"
            assert client.data.startswith(hint * 2 + b"HTTP/1.1 200 OK\r\n")


@proves("unasked_upgrade")
async def test_unasked_upgrade() -> None:
    async with here() as app:
        app.fault("unasked_upgrade")
        async with app.client() as client:
            await client.get()
            await client.until(b"hello")
            head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
            assert client.data == head + b"\x81\x05hello"


@proves("wrong_http_version")
async def test_wrong_http_version() -> None:
    head, rest = await sent("wrong_http_version", version="HTTP/3.7")
    assert head.startswith(b"HTTP/3.7 200 OK\r\n")
    assert rest == BODY


@proves("tls_alert")
async def test_tls_alert() -> None:
    head, _ = await sent("tls_alert", alert=80)
    assert head == b"\x15\x03\x03\x00\x02\x02\x50"


@proves("http2_preface")
async def test_http2_preface() -> None:
    head, _ = await sent("http2_preface")
    settings = b"\x00\x00\x00\x04\x00" + bytes(4)
    goaway = b"\x00\x00\x08\x07\x00" + bytes(4) + bytes(4) + b"\x00\x00\x00\x01"
    assert head == settings + goaway


@proves("exception")
async def test_exception_is_a_500_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with here() as app:
        app.fault("exception", message="the secret detail")
        async with app.client() as client:
            await client.get("/products/1", "X-Request-ID: r-7")
            await client.until(b"\n")
            assert client.data.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
            assert await client.answer() == b'{"error":"internal server error","request_id":"r-7"}\n'
        assert (await app.exchange("r-7")).status == 500
        assert [f["request_id"] for f in app.firings] == ["r-7"]
    record = next(record for record in caplog.records if record.levelname == "ERROR")
    assert getattr(record, "request_id", None) == "r-7"
    assert record.exc_info is not None
    assert "the secret detail" in str(record.exc_info[1])


@proves("script")
async def test_script_of_a_user() -> None:
    async with here() as app:
        steps = [
            {"send": r"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"},
            {"send": {"bytes": "aGk="}},
            {"pause": "80ms"},
            {"send": {"repeat": {"send": "ab", "times": 3}}},
            "close",
        ]
        app.fault("script", steps=steps)
        async with app.client() as client:
            await client.get()
            assert await client.all() == b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhiababab"
            assert client.end == "fin"
            assert client.packets == [b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhi", b"ababab"]


async def test_a_script_that_does_not_end_the_connection_leaves_it_open() -> None:
    async with here() as app:
        app.fault("script", steps=[{"send": r"HTTP/1.1 204 No Content\r\n\r\n"}], when={"first": 1})
        async with app.client() as client:
            await client.get()
            assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n"
            client.packets.clear()
            await client.get()
            assert await client.answer() == BODY
