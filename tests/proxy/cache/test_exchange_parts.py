"""A hop with a cache, over sockets: parts of what is stored, and heads without a body."""

from __future__ import annotations

import pytest

from tests.support.origin import cached, how, made
from tests.support.processes import until

FRESH = "Cache-Control: max-age=60"
ETAG = 'ETag: "a"'


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "data"),
    [
        ("bytes=1-2", 206, b"bytes 1-2/4", b"od"),
        ("bytes=2-", 206, b"bytes 2-3/4", b"dy"),
        ("bytes=-1", 206, b"bytes 3-3/4", b"y"),
        ("bytes=4-", 416, b"bytes */4", b""),
        ("bytes=0-0,2-3", 200, None, b"body"),
    ],
)
async def test_parts_are_served_from_what_is_stored(
    asked: str, status: int, content_range: bytes | None, data: bytes
) -> None:
    async with cached(made(FRESH, "Content-Type: a/b")) as shop:
        await shop.get()
        answer = await shop.get("/", f"Range: {asked}")
        assert (answer.status, answer.one("Content-Range"), answer.data) == (status, content_range, data)
        assert answer.one("Content-Type") == (None if status == 416 else b"a/b")
        assert how(answer) == "hit"
        assert len(shop.origin.requests) == 1


async def test_a_part_of_a_large_body() -> None:
    body = bytes(range(256)) * 2048
    async with cached(made(FRESH, body=body)) as shop:
        assert (await shop.get()).data == body
        await until(lambda: shop.hop.hop.cache is not None and shop.hop.hop.cache.store.bytes > len(body))
        assert (await shop.get()).data == body
        assert (await shop.get("/", "Range: bytes=100000-400000")).data == body[100000:400001]
        assert len(shop.origin.requests) == 1


async def test_what_the_origin_sends_as_a_part_is_relayed_and_not_stored() -> None:
    part = made(FRESH, "Content-Range: bytes 0-1/4", body=b"bo", status="206 Partial Content")
    async with cached(part) as shop:
        assert (await shop.get("/", "Range: bytes=0-1")).status == 206
        assert shop.stored == 0


async def test_head_is_served_from_a_stored_get() -> None:
    async with cached(made(FRESH)) as shop:
        await shop.get()
        answer = await shop.get(method="HEAD")
        assert (answer.status, answer.one("Content-Length"), answer.body, how(answer)) == (200, b"4", b"", "hit")
        assert len(shop.origin.requests) == 1


async def test_a_head_is_not_stored() -> None:
    async with cached(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=60\r\n\r\n") as shop:
        await shop.get(method="HEAD")
        assert shop.stored == 0


@pytest.mark.parametrize(
    ("told", "afterwards"),
    [
        ('ETag: "a"\r\nContent-Length: 4', "hit"),
        ('ETag: "b"\r\nContent-Length: 4', "fwd=uri-miss"),
        ('ETag: "a"\r\nContent-Length: 5', "fwd=uri-miss"),
    ],
)
async def test_a_head_of_the_origin_tells_whether_what_is_stored_still_holds(told: str, afterwards: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{told}\r\n\r\n".encode()
    async with cached(made(FRESH, ETAG), head, made(FRESH)) as shop:
        await shop.get()
        shop.advance(61)
        assert (await shop.get(method="HEAD")).status == 200
        assert how(await shop.get()) == afterwards


async def test_a_stored_204_has_no_length() -> None:
    response = f"HTTP/1.1 204 No Content\r\n{FRESH}\r\n\r\n".encode()
    async with cached(response) as shop:
        for word in ("fwd=uri-miss", "hit"):
            answer = await shop.get()
            assert (answer.status, answer.one("Content-Length"), answer.body, how(answer)) == (204, None, b"", word)
