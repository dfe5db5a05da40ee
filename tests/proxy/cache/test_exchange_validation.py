"""A hop with a cache, over sockets: what is asked about before it is served, and what the answer changes."""

from __future__ import annotations

import re

from tests.support.origin import age, cached, how, made, not_modified

FRESH = "Cache-Control: max-age=60"
ETAG = 'ETag: "a"'


async def test_a_304_renews_what_is_stored() -> None:
    confirmed = not_modified(ETAG, "Cache-Control: max-age=100", "X-New: 1", "Content-Length: 99", "Proxy-Status: lb")
    async with cached(made(FRESH, ETAG, "X-Old: 1", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"), confirmed) as shop:
        await shop.get()
        shop.advance(61)
        answer = await shop.get()
        assert (answer.status, answer.data, how(answer)) == (200, b"body", "fwd=stale")
        assert re.fullmatch(rb"cdn; fwd=stale; fwd-status=304; ttl=9[0-9]", answer.one("Cache-Status") or b"")
        assert (answer.one("X-Old"), answer.one("X-New")) == (b"1", b"1")
        assert answer.one("Cache-Control") == b"max-age=100"
        assert [member.name for member in answer.members] == ["lb", "cdn"]
        assert answer.members[-1].received_status == 304
        assert shop.origin.asked("If-None-Match") == b'"a"'
        assert shop.origin.asked("If-Modified-Since") == b"Sun, 06 Nov 1994 08:49:37 GMT"
        shop.advance(60)
        assert how(await shop.get()) == "hit"
        assert [record["cache"] for record in await shop.hop.records(3)] == ["miss", "revalidated", "hit"]


async def test_a_new_response_takes_the_place_of_the_old() -> None:
    async with cached(made(FRESH, ETAG), made(FRESH, 'ETag: "b"', body=b"news")) as shop:
        await shop.get()
        shop.advance(61)
        answer = await shop.get()
        assert (answer.data, how(answer)) == (b"news", "fwd=stale")
        again = await shop.get()
        assert (again.data, again.one("ETag"), how(again), shop.stored) == (b"news", b'"b"', "hit", 1)
        assert [record["cache"] for record in await shop.hop.records(3)] == ["miss", "expired", "hit"]


async def test_a_304_about_another_version_is_not_believed() -> None:
    async with cached(made(FRESH, ETAG), not_modified('ETag: "other"'), made(FRESH, body=b"news")) as shop:
        await shop.get()
        shop.advance(61)
        answer = await shop.get("/", "X-Kept: 1")
        assert (answer.status, answer.data) == (200, b"news")
        assert shop.origin.asked("If-None-Match", 1) == b'"a"'
        assert shop.origin.asked("If-None-Match", 2) is None
        assert shop.origin.asked("X-Kept", 2) == b"1"


async def test_no_cache_is_asked_about_every_time() -> None:
    async with cached(made("Cache-Control: no-cache", ETAG), not_modified(ETAG)) as shop:
        await shop.get()
        for _ in range(2):
            answer = await shop.get()
            assert (answer.status, answer.data, how(answer)) == (200, b"body", "fwd=stale")
        assert len(shop.origin.requests) == 3


async def test_a_client_may_insist_unless_clients_are_not_obeyed() -> None:
    async with cached(made(FRESH, ETAG), not_modified(ETAG)) as shop:
        await shop.get()
        assert how(await shop.get("/", "Cache-Control: no-cache")) == "fwd=request"
        assert how(await shop.get("/", "Pragma: no-cache")) == "fwd=request"
        assert how(await shop.get("/", "Cache-Control: max-age=30")) == "hit"
        shop.advance(2)
        assert how(await shop.get("/", "Cache-Control: max-age=1")) == "fwd=request"
    async with cached(made(FRESH), cache={"obey_clients": False}) as shop:
        await shop.get()
        assert how(await shop.get("/", "Cache-Control: no-cache")) == "hit"


async def test_a_client_that_has_it_gets_a_304() -> None:
    async with cached(made(FRESH, ETAG, "Vary: Foo", "Content-Type: a/b")) as shop:
        await shop.get()
        answer = await shop.get("/", 'If-None-Match: "x", W/"a"')
        assert (answer.status, answer.line, answer.body) == (304, b"HTTP/1.1 304 Not Modified", b"")
        assert (answer.one("ETag"), answer.one("Vary"), answer.one("Content-Length")) == (b'"a"', b"Foo", None)
        assert answer.one("Content-Type") is None
        assert 0 <= age(answer) < 10
        assert how(answer) == "hit"
        assert (await shop.get("/", 'If-None-Match: "b"')).status == 200
        assert len(shop.origin.requests) == 1


async def test_a_clients_conditions_are_answered_from_what_the_origin_confirmed() -> None:
    async with cached(made(FRESH, ETAG), not_modified(ETAG, FRESH)) as shop:
        await shop.get()
        shop.advance(61)
        answer = await shop.get("/", 'If-None-Match: "mine"', "Range: bytes=0-0")
        assert shop.origin.asked("If-None-Match") == b'"a"'
        assert shop.origin.asked("Range") is None
        assert (answer.status, answer.data) == (206, b"b")
        assert (await shop.get("/", 'If-None-Match: "a"')).status == 304


async def test_without_anything_stored_a_clients_conditions_are_the_origins_to_answer() -> None:
    async with cached(not_modified('ETag: "mine"'), made(FRESH)) as shop:
        answer = await shop.get("/", 'If-None-Match: "mine"')
        assert (answer.status, shop.stored) == (304, 0)
        assert shop.origin.asked("If-None-Match") == b'"mine"'
