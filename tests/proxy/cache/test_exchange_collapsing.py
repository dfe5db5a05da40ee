"""A hop with a cache fetches once what many ask for, and streams into and out of its store."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.answers import Answer, dechunked, read_answer
from tests.support.origin import CachedOrigin, cached, how, made
from tests.support.processes import until
from tests.support.rawclient import RawClient

FRESH = "Cache-Control: max-age=60"
MIB = 1024 * 1024


def burst(shop: CachedOrigin, count: int, *headers: str) -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(shop.get("/", *headers)) for _ in range(count)]


async def arrived(shop: CachedOrigin, count: int) -> None:
    """Wait until so many requests are in the hop and one at least reached the origin."""
    await until(lambda: shop.hop.hop.in_flight == count and bool(shop.origin.requests), what=f"{count} in flight")


async def test_a_burst_reaches_the_origin_once() -> None:
    go_on = asyncio.Event()
    async with cached((go_on, made(FRESH))) as shop:
        waiting = burst(shop, 20)
        await arrived(shop, 20)
        go_on.set()
        answers = [await each for each in waiting]
        assert {answer.data for answer in answers} == {b"body"}
        assert sorted(map(how, answers)) == ["fwd=uri-miss"] + ["fwd=uri-miss collapsed"] * 19
        assert len(shop.origin.requests) == 1
        assert len({answer.one("X-Request-ID") for answer in answers}) == 20
        records = await shop.hop.records(20)
        assert sorted(record["cache"] for record in records) == ["collapsed"] * 19 + ["miss"]
        assert sorted(len(record["attempts"]) for record in records) == [0] * 19 + [1]


async def test_and_each_time_where_that_is_off() -> None:
    go_on = asyncio.Event()
    async with cached((go_on, made(FRESH)), cache={"collapse": False}) as shop:
        waiting = burst(shop, 5)
        await until(lambda: len(shop.origin.requests) == 5)
        go_on.set()
        assert {how(await each) for each in waiting} == {"fwd=uri-miss"}


async def test_an_answer_that_is_not_to_be_shared_is_nobody_elses() -> None:
    go_on = asyncio.Event()
    async with cached((go_on, made("Cache-Control: private"))) as shop:
        waiting = burst(shop, 5)
        await arrived(shop, 5)
        assert len(shop.origin.requests) == 1
        go_on.set()
        assert {how(await each) for each in waiting} == {"fwd=uri-miss"}
        assert len(shop.origin.requests) == 5
        # and it is remembered: the next ones do not wait for each other
        go_on.clear()
        waiting = burst(shop, 5)
        await until(lambda: len(shop.origin.requests) == 10)
        go_on.set()
        await asyncio.gather(*waiting)


async def test_requests_that_an_answer_does_not_fit_fetch_their_own() -> None:
    go_on = asyncio.Event()
    async with cached((go_on, made(FRESH, "Vary: Foo")), made(FRESH, "Vary: Foo", body=b"other")) as shop:
        first = asyncio.create_task(shop.get("/", "Foo: 1"))
        await arrived(shop, 1)
        other, same = asyncio.create_task(shop.get("/", "Foo: 2")), asyncio.create_task(shop.get("/", "Foo: 1"))
        await arrived(shop, 3)
        go_on.set()
        assert [(await each).data for each in (first, other, same)] == [b"body", b"other", b"body"]
        assert len(shop.origin.requests) == 2


@pytest.mark.parametrize(
    "header", ["Authorization: x", "Range: bytes=0-1", 'If-None-Match: "a"', "Cache-Control: no-cache"]
)
async def test_special_requests_wait_for_nobody(header: str) -> None:
    go_on = asyncio.Event()
    async with cached((go_on, made(FRESH))) as shop:
        waiting = burst(shop, 3, header)
        await until(lambda: len(shop.origin.requests) == 3)
        go_on.set()
        await asyncio.gather(*waiting)


async def test_an_error_on_the_way_is_everybodys() -> None:
    async with cached((asyncio.Event(),), timeouts={"first_byte": "800ms"}) as shop:
        waiting = burst(shop, 5)
        await arrived(shop, 5)
        answers = [await each for each in waiting]
        assert {(answer.status, answer.error) for answer in answers} == {(504, "http_response_timeout")}
        assert len(shop.origin.requests) == 1


async def test_everybody_gets_the_stale_one_in_place_of_an_error() -> None:
    go_on = asyncio.Event()
    broken = (go_on, made(status="503 Busy"))
    async with cached(made("Cache-Control: max-age=1, stale-if-error=60"), broken) as shop:
        await shop.get()
        shop.advance(5)
        waiting = burst(shop, 5)
        await arrived(shop, 5)
        go_on.set()
        assert {(answer.status, answer.data) for answer in [await each for each in waiting]} == {(200, b"body")}
        assert len(shop.origin.requests) == 2


async def test_what_a_burst_is_not_yet_fresh_enough_for_is_asked_about_once() -> None:
    go_on = asyncio.Event()
    again = (go_on, b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')
    async with cached(made(FRESH, 'ETag: "a"'), again) as shop:
        await shop.get()
        shop.advance(61)
        waiting = burst(shop, 5)
        await arrived(shop, 5)
        go_on.set()
        assert sorted(map(how, await asyncio.gather(*waiting))) == ["fwd=stale"] + ["fwd=stale collapsed"] * 4
        assert len(shop.origin.requests) == 2


# -- leaving -------------------------------------------------------------------------------------------


async def asks(client: RawClient) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")


async def test_who_fetches_may_leave_before_the_answer_and_another_one_goes() -> None:
    go_on = asyncio.Event()
    async with cached((go_on, made(FRESH))) as shop:
        async with shop.hop.client() as first:
            await asks(first)
            await arrived(shop, 1)
            waiting = burst(shop, 3)
            await arrived(shop, 4)
        await until(lambda: len(shop.origin.requests) == 2, what="another request")
        go_on.set()
        assert {(await each).data for each in waiting} == {b"body"}
        assert len(shop.origin.requests) == 2


@pytest.mark.parametrize("framing", ["Content-Length: 8", "Transfer-Encoding: chunked"])
async def test_who_fetches_may_leave_in_the_middle_and_the_others_get_it_all(framing: str) -> None:
    go_on = asyncio.Event()
    chunked = "chunked" in framing
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\n{framing}\r\n\r\n".encode()
    one, two = (b"4\r\nbody\r\n", b"4\r\nmore\r\n0\r\n\r\n") if chunked else (b"body", b"more")
    async with cached((head + one, go_on, two)) as shop:
        async with shop.hop.client() as first:
            await asks(first)
            await first.until(b"body")
            waiting = burst(shop, 3)
            await arrived(shop, 4)
        await until(lambda: shop.hop.hop.in_flight == 3, what="the first to be gone")
        go_on.set()
        assert {(await each).data for each in waiting} == {b"bodymore"}
        again = await shop.get()
        assert (how(again), again.data, again.one("Content-Length")) == ("hit", b"bodymore", b"8")
        assert len(shop.origin.requests) == 1


async def test_it_is_stored_even_when_everybody_left() -> None:
    go_on = asyncio.Event()
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\nContent-Length: 8\r\n\r\n".encode()
    async with cached((head + b"body", go_on, b"more")) as shop:
        async with shop.hop.client() as first:
            await asks(first)
            await first.until(b"body")
        await until(lambda: not shop.hop.hop.in_flight)
        go_on.set()
        cache = shop.hop.hop.cache
        assert cache is not None
        await until(lambda: cache.store.variants(("example", "/"))[0].body.complete)
        assert (await shop.get()).data == b"bodymore"


# -- streaming -----------------------------------------------------------------------------------------


async def test_the_first_bytes_go_out_before_the_last_have_come_to_all_who_ask() -> None:
    go_on = asyncio.Event()
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\nContent-Length: 8\r\n\r\n".encode()
    async with cached((head + b"body", go_on, b"more")) as shop:
        async with shop.hop.client() as first, shop.hop.client() as second, shop.hop.client() as part:
            await asks(first)
            await first.until(b"body")
            await asks(second)
            await second.until(b"body")
            await part.send(b"GET / HTTP/1.1\r\nHost: example\r\nRange: bytes=3-5\r\n\r\n")
            await part.until(b"\r\n\r\ny")
            assert b"Content-Length: 8\r\n" in second.data
            assert b"; collapsed" in second.data
            go_on.set()
            await first.until(b"bodymore")
            await second.until(b"bodymore")
            await part.until(b"\r\n\r\nymo")
            assert part.data.endswith(b"\r\n\r\nymo")
        assert len(shop.origin.requests) == 1


async def test_while_nobody_knows_its_length_it_goes_out_in_chunks() -> None:
    go_on = asyncio.Event()
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n".encode()
    async with (
        cached((head, go_on, b"4\r\nmore\r\n0\r\n\r\n")) as shop,
        shop.hop.client() as first,
        shop.hop.client() as second,
        shop.hop.client() as old,
    ):
        await asks(first)
        await first.until(b"body")
        await asks(second)
        await second.until(b"body")
        await old.send(b"GET / HTTP/1.0\r\nHost: example\r\nConnection: keep-alive\r\n\r\n")
        await old.until(b"body")
        go_on.set()
        for client in (first, second):
            await client.until(b"0\r\n\r\n")
            assert dechunked(read_answer(client.data).body) == (b"bodymore", True)
        await old.all()
        assert old.data.endswith(b"\r\n\r\nbodymore")


@pytest.mark.parametrize("framing", ["Content-Length: 8", "Transfer-Encoding: chunked"], ids=["length", "chunked"])
async def test_what_is_cut_short_is_cut_short_for_all_and_not_stored(framing: str) -> None:
    go_on = asyncio.Event()
    start = b"4\r\nbody\r\n" if "chunked" in framing else b"body"
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\n{framing}\r\n\r\n".encode() + start
    async with cached((head, go_on, b""), made(FRESH, body=b"whole")) as shop:
        async with shop.hop.client() as first, shop.hop.client() as second:
            await asks(first)
            await first.until(b"body")
            await asks(second)
            await second.until(b"body")
            go_on.set()
            for client in (first, second):
                await client.all()
                assert client.data.endswith(start)
        assert shop.stored == 0
        records = await shop.hop.records(2)
        assert [(record["truncated"], record["error"]) for record in records] == [
            (True, "http_response_incomplete")
        ] * 2
        assert (await shop.get()).data == b"whole"


async def test_a_body_that_ends_with_its_connection_is_stored_only_if_that_ends_well() -> None:
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\n\r\nbody".encode()
    async with cached((head, b"")) as shop:
        assert (await shop.get()).data == b"body"
        await until(lambda: not shop.hop.hop.in_flight)
        again = await shop.get()
        assert (how(again), again.one("Content-Length")) == ("hit", b"4")


async def test_what_is_announced_as_too_large_is_relayed_only() -> None:
    async with cached(made(FRESH, body=b"x" * 1001), cache={"max_object": 1000}) as shop:
        for _ in range(2):
            answer = await shop.get()
            assert (len(answer.data), how(answer)) == (1001, "fwd=uri-miss")
        assert shop.stored == 0


async def test_what_turns_out_too_large_is_relayed_to_all_who_read_it_and_held_back_by_the_slowest() -> None:
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = 400
    parts = (head, *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * pieces, b"0\r\n\r\n")
    async with cached(parts, cache={"max_object": 100_000}) as shop:
        async with shop.hop.client() as slow, shop.hop.client() as fast:
            for client in (fast, slow):
                await client.send(b"GET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")
            reading = asyncio.create_task(fast.all())
            before = -1
            while before != shop.origin.written:  # until everything on the slow one's way is full
                before = shop.origin.written
                await asyncio.sleep(0.1)
            assert before < pieces
            assert not reading.done()
            await slow.all()
            await reading
            for client in (slow, fast):
                body = read_answer(client.data).body
                assert (body.count(b"x"), body[-7:]) == (pieces * 65536, b"\r\n0\r\n\r\n")
        assert shop.stored == 0


async def test_a_slow_client_does_not_hold_back_what_is_stored() -> None:
    body = b"x" * (8 * MIB)
    async with cached(made(FRESH, body=body), cache={"max_object": 16 * MIB}) as shop:
        async with shop.hop.client() as slow:
            await asks(slow)
            await slow.until(b"xxx")
            answer = await shop.get()
            assert len(answer.data) == len(body)
        assert len(shop.origin.requests) == 1


async def test_a_purge_in_the_middle_lets_readers_read_on() -> None:
    go_on = asyncio.Event()
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\nContent-Length: 8\r\n\r\n".encode()
    async with cached((head + b"body", go_on, b"more"), made(FRESH, body=b"news")) as shop:
        async with shop.hop.client() as first:
            await asks(first)
            await first.until(b"body")
            cache = shop.hop.hop.cache
            assert cache is not None
            assert cache.purge() == 1
            assert (await shop.get()).data == b"news"
            go_on.set()
            await first.until(b"bodymore")
        assert (await shop.get()).data == b"news"


async def test_a_silent_origin_ends_it_for_all() -> None:
    head = f"HTTP/1.1 200 OK\r\n{FRESH}\r\nContent-Length: 8\r\n\r\n".encode()
    async with cached((head + b"body", asyncio.Event()), timeouts={"between_bytes": "400ms"}) as shop:
        async with shop.hop.client() as first:
            await asks(first)
            assert (await first.all()).endswith(b"body")
        record = await shop.hop.record()
        assert (record["error"], record["truncated"]) == ("connection_read_timeout", True)
        assert record["attempts"][0]["phases"]["receive"] >= 0.395
        assert shop.stored == 0
