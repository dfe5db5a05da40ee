"""Methods that llhttp does not know, over raw sockets."""

from __future__ import annotations

import pytest

from tests.support.answers import read_answer
from tests.support.peers import healthy, says
from tests.support.wire import RunningHop, raw_upstream, running_hop

ALLOWED = {"allow_custom_methods": True}
BREW = b"BREW /pot?a=b HTTP/1.1\r\nHost: shop.example\r\n\r\n"
GET = b"GET /pot HTTP/1.1\r\nHost: shop.example\r\n\r\n"


async def test_by_default_the_hop_answers_501() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(BREW.replace(b"\r\n\r\n", b"\r\nX-Request-ID: teapot-1\r\n\r\n"))
        answer = read_answer(await client.all())
        assert (answer.status, answer.error) == (501, "proxy_internal_response")
        assert answer.one("X-Request-ID") == b"teapot-1"
        record = await hop.record()
        assert (record["request_id"], record["method"], record["attempts"]) == ("teapot-1", "BREW", [])
        assert upstream.heads == []


@pytest.mark.parametrize("method", [b"BREW", b"M-GET", b"get", b"VERSION-CONTROL", b"a" * 32, b"!#$%&'*+.^_`|~"])
async def test_where_it_is_allowed_the_method_is_passed_on(method: bytes) -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, http1=ALLOWED) as hop,
        hop.client() as client,
    ):
        await client.send(BREW.replace(b"BREW", method))
        assert b" 200 " in await client.until(b"\r\n\r\n")
        assert upstream.heads[0].startswith(method + b" /pot?a=b HTTP/1.1\r\n")
        record = await hop.record()
        assert (record["method"], record["status"]) == (method.decode(), 200)
        assert record["attempts"][0]["endpoint"] == upstream.address


async def ask(hop: RunningHop, *packets: bytes) -> int:
    async with hop.client() as client:
        for packet in packets:
            await client.send(packet)
            await client.silent(0.01)
        return read_answer(await client.until(b"\r\n\r\n")).status


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 9, 21, len(BREW) - 1])
async def test_packets_do_not_matter(cut: int) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, http1=ALLOWED) as hop:
        assert await ask(hop, BREW[:cut], BREW[cut:]) == 200
        assert upstream.heads[0].startswith(b"BREW /pot?a=b HTTP/1.1\r\n")


async def test_the_connection_goes_on_with_any_method() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, http1=ALLOWED) as hop,
        hop.client() as client,
    ):
        sent = [BREW, BREW, BREW, GET, b"\r\n" + BREW.replace(b"/pot", b"/cup"), GET, GET, GET]
        for request in sent:
            await client.send(request)
            await client.answer()
        assert [head.split()[0] for head in upstream.heads] == [request.split()[0] for request in sent]


async def test_a_custom_method_may_have_a_body() -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, http1=ALLOWED) as hop,
        hop.client() as client,
    ):
        await client.send(b"BREW / HTTP/1.2\r\nHost: a\r\nContent-Length: 4\r\n\r\n12")
        await client.send(b"34")
        await client.answer()
        await client.send(GET)
        await client.answer()
        assert b"\r\nContent-Length: 4\r\n" in upstream.heads[0]
        assert upstream.heads[0].startswith(b"BREW / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"B{EW / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"BREW\r\n\r\n", 400),
        (b"a" * 33 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"BREW / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"BREW nothing HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\x05hello", 400),
    ],
)
async def test_what_is_no_request_stays_none(sent: bytes, status: int) -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, http1=ALLOWED) as hop,
        hop.client() as client,
    ):
        await client.send(sent)
        assert read_answer(await client.all()).status == status
        assert upstream.heads == []


@pytest.mark.parametrize(("request_", "attempts"), [(GET, 2), (BREW, 1)])
async def test_what_nobody_knows_is_not_idempotent(request_: bytes, attempts: int) -> None:
    retry = {"attempts": 2, "on": ["reset"]}
    async with (
        raw_upstream(says(then="reset")) as upstream,
        running_hop(upstream.address, http1=ALLOWED, retry=retry) as hop,
    ):
        assert await ask(hop, request_) == 502
        assert len((await hop.record())["attempts"]) == attempts
