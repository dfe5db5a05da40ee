"""A hop with a cache, over sockets: what is served from the store, what is stored, and what is not for it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from badgateway_proxy.configuration.config import merge_patch
from tests.support.answers import read_answer
from tests.support.origin import age, cached, how, made, ttl
from tests.support.peers import field
from tests.support.processes import until

FRESH = "Cache-Control: max-age=60"


async def test_a_fresh_response_is_served_from_the_store() -> None:
    async with cached(made(FRESH, "X-Request-ID: theirs", "Via: 1.1 lb")) as shop:
        first = await shop.get("/products?page=1")
        assert (first.status, first.data, how(first)) == (200, b"body", "fwd=uri-miss")
        assert first.all("Cache-Status") == [b"cdn; fwd=uri-miss; fwd-status=200; stored"]
        shop.advance(10)
        second = await shop.get("/products?page=1", "X-Request-ID: mine")
        assert (second.status, second.data) == (200, b"body")
        assert second.line == b"HTTP/1.1 200 OK"
        assert re.fullmatch(rb"cdn; hit; ttl=4[0-9]", second.one("Cache-Status") or b"")
        assert 10 <= age(second) < 20
        assert age(second) + ttl(second) == 59  # both are rounded down
        assert second.one("X-Request-ID") == b"mine"
        assert second.one("Via") == b"1.1 lb, 1.1 cdn"
        assert second.one("Date") is not None  # which a cache adds where there is none
        assert second.one("Proxy-Status") is None
        assert len(shop.origin.requests) == 1
        miss, hit = await shop.hop.records(2)
        assert (miss["cache"], hit["cache"]) == ("miss", "hit")
        assert (hit["attempts"], hit["status"], hit["response_bytes"], hit["error"]) == ([], 200, 4, None)
        assert hit["cache_status"].encode() == second.one("Cache-Status")


async def test_its_date_stays_what_it_was() -> None:
    date = "Date: Fri, 31 Dec 2100 23:59:59 GMT"
    async with cached(made(FRESH, date)) as shop:
        for _ in range(2):
            assert (await shop.get()).one("Date") == date[6:].encode()


async def test_head_and_body_of_a_small_hit_are_one_packet_and_the_connection_stays() -> None:
    async with cached(made(FRESH)) as shop, shop.hop.client() as client:
        for _ in range(3):
            client.packets.clear()
            await client.get("/")
            await client.until(b"body")
            assert len(client.packets) == 1
        assert client.end is None


async def test_the_age_of_a_response_adds_up_across_hops() -> None:
    async with cached(made("Cache-Control: max-age=100", "Age: 30")) as shop:
        assert age(await shop.get()) == 30
        shop.advance(20)
        assert 50 <= age(await shop.get()) < 60
        shop.advance(50)
        assert how(await shop.get()) == "fwd=stale"


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/?b", ()), ("/b", ()), ("/", ("Host: other",)), ("/", ("Authorization: x", "Cache-Control: no-cache"))],
)
async def test_other_resources_are_fetched(path: str, headers: tuple[str, ...]) -> None:
    async with cached(made(FRESH)) as shop:
        await shop.get("/")
        if headers and headers[0].startswith("Host"):
            request = f"GET {path} HTTP/1.1\r\n{headers[0]}\r\nConnection: close\r\n\r\n"
            await shop.hop.send(request.encode())
        else:
            await shop.get(path, *headers)
        assert len(shop.origin.requests) == 2


async def test_the_host_counts_in_lower_case_and_in_absolute_form_too() -> None:
    async with cached(made(FRESH)) as shop:
        await shop.get("/a")
        for head in (b"GET /a HTTP/1.1\r\nHost: EXAMPLE", b"GET http://example/a HTTP/1.1\r\nHost: x"):
            answer = read_answer(await shop.hop.send(head + b"\r\nConnection: close\r\n\r\n"))
            assert how(answer) == "hit"


async def test_without_a_word_on_freshness_nothing_is_reused() -> None:
    async with cached(made()) as shop:
        for _ in range(2):
            answer = await shop.get()
            assert how(answer) == "fwd=uri-miss"
            assert b"stored" not in answer.all("Cache-Status")[0]
        assert (len(shop.origin.requests), shop.stored) == (2, 0)


async def test_a_default_ttl_makes_it_fresh() -> None:
    async with cached(made(), cache={"default_ttl": "5s"}) as shop:
        await shop.get()
        assert how(await shop.get()) == "hit"
        shop.advance(5)
        assert how(await shop.get()) == "fwd=stale"


async def test_but_not_where_it_sets_a_cookie() -> None:
    async with cached(made("Set-Cookie: session=1"), cache={"default_ttl": "5s"}) as shop:
        await shop.get()
        assert shop.stored == 0


async def test_cdn_cache_control_is_for_the_cache_and_cache_control_for_the_client() -> None:
    async with cached(made("Cache-Control: no-store", "CDN-Cache-Control: max-age=60")) as shop:
        await shop.get()
        answer = await shop.get()
        assert how(answer) == "hit"
        assert answer.one("Cache-Control") == b"no-store"


async def test_members_of_inner_caches_stay_before_ours() -> None:
    async with cached(made(FRESH, "Cache-Status: inner; hit; ttl=5")) as shop:
        for word in ("fwd=uri-miss", "hit"):
            answer = await shop.get()
            assert (answer.all("Cache-Status")[0], how(answer)) == (b"inner; hit; ttl=5", word)


async def test_vary_tells_requests_apart() -> None:
    english, german = (
        made(FRESH, "Vary: Accept-Language", body=b"hi"),
        made(FRESH, "Vary: accept-language", body=b"hallo"),
    )
    async with cached(english, german) as shop:
        assert (await shop.get("/", "Accept-Language: en")).data == b"hi"
        other = await shop.get("/", "Accept-Language: de")
        assert (other.data, how(other)) == (b"hallo", "fwd=vary-miss")
        for language, body in (("en", b"hi"), ("de", b"hallo"), ("en", b"hi")):
            answer = await shop.get("/", f"accept-language:  {language}")
            assert (answer.data, how(answer)) == (body, "hit")
        assert shop.stored == 2


# -- what is not for the store -------------------------------------------------------------------------


async def test_only_if_cached_is_a_504_of_the_cache_without_anything_stored() -> None:
    async with cached(made(FRESH)) as shop, shop.hop.client() as client:
        await client.get("/", "Cache-Control: only-if-cached")
        answer = read_answer(await client.until(b"}\n"))
        assert (answer.status, answer.error) == (504, "proxy_internal_response")
        assert answer.all("Cache-Status") == []
        assert shop.origin.requests == []
        for headers, words in (((), "fwd=uri-miss"), (("Cache-Control: only-if-cached",), "hit")):
            client.packets.clear()
            await client.get("/", *headers)  # the connection is still of use
            assert how(read_answer(await client.until(b"body"))) == words


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_an_unsafe_request_that_succeeds_takes_what_is_stored_away(method: str) -> None:
    async with cached(made(FRESH), made("Location: /new"), made(FRESH)) as shop:
        await shop.get("/old")
        answer = await shop.get("/old", method=method)
        assert how(answer) == "fwd=method"
        assert how(await shop.get("/old")) == "fwd=uri-miss"


async def test_so_is_what_its_answer_points_to() -> None:
    async with cached(made(FRESH), made("Location: /new"), made(FRESH)) as shop:
        await shop.get("/new")
        await shop.get("/old", method="POST")
        assert how(await shop.get("/new")) == "fwd=uri-miss"


async def test_one_that_fails_changes_nothing() -> None:
    async with cached(made(FRESH), made(status="500 Internal Server Error")) as shop:
        await shop.get("/old")
        await shop.get("/old", method="POST")
        assert how(await shop.get("/old")) == "hit"


async def test_what_was_on_its_way_when_it_was_invalidated_is_not_stored() -> None:
    go_on = asyncio.Event()
    slow = (go_on, made(FRESH, body=b"before"))
    async with cached(slow, made(), made(FRESH, body=b"after")) as shop:
        early = asyncio.create_task(shop.get())
        await until(lambda: shop.origin.requests)
        await shop.get(method="POST")
        go_on.set()
        assert (await early).data == b"before"
        assert (await shop.get()).data == b"after"


@pytest.mark.parametrize("header", ["Cache-Control: no-store", "Authorization: Basic eA=="])
async def test_what_a_request_says_may_keep_its_answer_out_of_the_store(header: str) -> None:
    async with cached(made(FRESH)) as shop:
        await shop.get("/", header)
        assert shop.stored == 0


async def test_a_get_with_a_body_is_passed_by() -> None:
    async with cached(made(FRESH)) as shop:
        await shop.get()
        request = b"GET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
        assert how(read_answer(await shop.hop.send(request))) == "fwd=bypass"
        assert len(shop.origin.requests) == 2


async def test_errors_are_kept_where_a_setting_says_so() -> None:
    async with cached(made(status="500 Internal Server Error"), made(), cache={"negative": {"ttl": "10s"}}) as shop:
        assert (await shop.get()).status == 500
        again = await shop.get()
        assert (again.status, how(again)) == (500, "hit")
        shop.advance(10)
        assert (await shop.get()).status == 200
    async with cached(made(status="500 Internal Server Error")) as shop:
        await shop.get()
        assert shop.stored == 0


async def test_an_upgrade_is_none_of_its_business() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
    async with cached((switched, b"")) as shop:
        answer = await shop.get("/", "Connection: upgrade", "Upgrade: echo")
        assert answer.status == 101


# -- framing -------------------------------------------------------------------------------------------


async def test_what_came_in_chunks_is_served_with_its_length() -> None:
    chunked = (
        f"HTTP/1.1 200 OK\r\n{FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n".encode()
    )
    async with cached(chunked) as shop:
        assert (await shop.get()).data == b"body"
        await until(lambda: not shop.hop.hop.in_flight)
        answer = await shop.get()
        assert (answer.one("Content-Length"), answer.one("Transfer-Encoding"), answer.data) == (b"4", None, b"body")


async def test_an_http_1_0_client_keeps_its_connection() -> None:
    async with cached(made(FRESH)) as shop, shop.hop.client() as client:
        for _ in range(2):
            client.packets.clear()
            await client.send(b"GET / HTTP/1.0\r\nHost: example\r\nConnection: keep-alive\r\n\r\n")
            answer = read_answer(await client.until(b"body"))
            assert (answer.one("Connection"), answer.data) == (b"keep-alive", b"body")
        assert how(answer) == "hit"


async def test_what_ends_at_the_hop_before_is_not_served_from_the_store() -> None:
    async with cached(made(FRESH, "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "X-End: 1")) as shop:
        await shop.get()
        answer = await shop.get()
        assert (answer.all("X-Hop"), answer.all("Keep-Alive"), answer.one("X-End")) == ([], [], b"1")


# -- on and off ----------------------------------------------------------------------------------------


async def test_without_a_cache_nothing_of_this_happens() -> None:
    async with cached(made(FRESH, "Cache-Status: inner; hit"), cache={"enabled": False}) as shop:
        for _ in range(2):
            assert (await shop.get()).all("Cache-Status") == [b"inner; hit"]
        assert len(shop.origin.requests) == 2
        record, _ = await shop.hop.records(2)
        assert (record["cache"], record["cache_status"]) == (None, "")
        assert "cache" not in shop.hop.hop.state()


async def test_settings_change_while_it_runs() -> None:
    async with cached(made(FRESH, body=b"x" * 100)) as shop:
        hop = shop.hop.hop

        def change(patch: dict[str, Any]) -> None:
            hop.apply_config(merge_patch(hop.config, {"cache": patch}))

        await shop.get()
        change({"obey_clients": False})
        assert how(await shop.get()) == "hit"
        change({"enabled": False})
        assert (await shop.get()).all("Cache-Status") == []
        change({"enabled": True, "max_object": 99})
        assert how(await shop.get()) == "fwd=uri-miss"
        state = hop.state()["cache"]
        assert (state["objects"], state["bytes"], state["evicted"]) == (0, 0, 0)
        assert state["results"]["miss"] == 1


async def test_a_reset_empties_it() -> None:
    async with cached(made(FRESH)) as shop:
        await shop.get()
        assert shop.hop.hop.state()["cache"]["objects"] == 1
        shop.hop.hop.reset()
        assert how(await shop.get()) == "fwd=uri-miss"


async def test_the_least_recently_used_makes_room() -> None:
    async with cached(made(FRESH), cache={"objects": 2}) as shop:
        for path in ("/a", "/b", "/a", "/c"):
            await shop.get(path)
        assert how(await shop.get("/a")) == "hit"
        assert how(await shop.get("/b")) == "fwd=uri-miss"


async def test_a_client_that_leaves_before_its_hit_is_recorded_as_gone() -> None:
    async with cached(made(FRESH, body=b"x" * 16_000_000), cache={"max_object": 20_000_000}) as shop:
        await shop.get()
        async with shop.hop.client() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
            await client.until(b"xxx")
        *_, last = await shop.hop.records(2)
        assert last["client_gone"] is True


async def test_the_next_hop_gets_what_the_client_sent() -> None:
    async with cached(made(FRESH)) as shop:
        await shop.get("/", "X-Mine: 1", "Accept: a/b")
        head = shop.origin.requests[0]
        assert (field(head, b"x-mine"), field(head, b"accept"), field(head, b"via")) == (b"1", b"a/b", b"1.1 cdn")


async def test_a_hit_needs_no_way_to_the_upstream() -> None:
    go_on = asyncio.Event()
    limits = {"max_requests": 1, "max_pending_requests": 0}
    async with cached(made(FRESH), (go_on, made()), upstream_limits=limits) as shop:
        await shop.get("/a")
        waiting = asyncio.create_task(shop.get("/b"))
        await until(lambda: len(shop.origin.requests) == 2)
        assert (await shop.get("/c")).error == "connection_limit_reached"
        assert how(await shop.get("/a")) == "hit"
        go_on.set()
        await waiting


async def test_a_hit_counts_against_a_clients_rate() -> None:
    bucket = {"max_tokens": 2, "tokens_per_fill": 1, "fill_interval": "1h"}
    async with cached(made(FRESH), rate_limit={"client": bucket}) as shop:
        await shop.get()
        answer = await shop.get()
        assert how(answer) == "hit"
        assert answer.one("RateLimit") is not None
        assert (await shop.get()).status == 429
