"""From bytes to requests."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.wire.requests import (
    LARGEST_HEAD,
    BadRequestError,
    BodyCutShortError,
    BodyTooLargeError,
    Intake,
)


def intake() -> Intake:
    return Intake(lambda: None)


def feed_all(reader: Intake, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])


CHUNKED = b"POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
TWO = CHUNKED + b"GET /next HTTP/1.1\r\nhost: y\r\nConnection: close\r\n\r\n"


async def test_a_chunked_body_and_the_next_request() -> None:
    reader = intake()
    reader.feed(TWO)
    first, second = reader.ready
    assert (first.method, first.target, first.path, first.number) == ("POST", "/a?b", "/a", 1)
    assert await first.body.whole() == b"abcde"
    assert (second.path, second.keep_alive, second.number) == ("/next", False, 2)
    assert second.header("host") == "y"
    assert reader.between_requests


@given(st.lists(st.integers(1, len(TWO) - 1), max_size=12))
def test_packets_do_not_matter(cuts: list[int]) -> None:
    reader = intake()
    start = 0
    for cut in [*sorted(set(cuts)), len(TWO)]:
        reader.feed(TWO[start:cut])
        start = cut
    assert [(request.method, request.path) for request in reader.ready] == [("POST", "/a"), ("GET", "/next")]
    assert reader.ready[0].body.received == 5


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x00", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"\r\nget / HTTP/1.1\r\n\r\n", 501),
        (b"M-BREW / HTTP/1.1\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\n\r\nbr{w / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /" + b"a" * LARGEST_HEAD + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * LARGEST_HEAD + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 2 * LARGEST_HEAD, 431),
    ],
)
def test_bad_requests(data: bytes, status: int) -> None:
    for size in (len(data), 1000, 3) if len(data) < 1000 else (len(data), 1000):
        reader = intake()
        with pytest.raises(BadRequestError) as caught:
            feed_all(reader, data, size)
        assert caught.value.status == status


BODY_OF_MS = b"M-M-GET M"
MANDATORY = (
    b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY_OF_MS), BODY_OF_MS)
    + b"M-GET /b HTTP/1.1\r\nMan: M-GET\r\n\r\n"
    + b"\r\nM-SEARCH * HTTP/1.1\r\nHost: M\r\n\r\nMOVE /c HTTP/1.1\r\n\r\n"
    + b"M-PUT /d HTTP/1.1\r\nContent-Length: 2\r\n\r\nM-"
)


@given(st.lists(st.integers(1, len(MANDATORY) - 1), max_size=12))
def test_mandatory_requests_are_found_wherever_packets_end(cuts: list[int]) -> None:
    reader = intake()
    start = 0
    for cut in [*sorted(set(cuts)), len(MANDATORY)]:
        reader.feed(MANDATORY[start:cut])
        start = cut
    assert [request.method for request in reader.ready] == ["POST", "M-GET", "M-SEARCH", "MOVE", "M-PUT"]
    assert [request.body.received for request in reader.ready] == [len(BODY_OF_MS), 0, 0, 0, 2]
    assert [request.body.complete for request in reader.ready] == [True] * 5
    assert reader.between_requests


def test_a_method_that_has_not_arrived_whole_is_a_request_that_began() -> None:
    reader = intake()
    reader.feed(b"GE")
    assert not reader.between_requests
    reader.feed(b"T / HTTP/1.1\r\n\r\n")
    assert reader.ready[0].method == "GET"


async def test_a_body_too_large_to_hold() -> None:
    reader = intake()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n")
    body = reader.ready[0].body
    task = asyncio.create_task(body.whole())
    for _ in range(20):
        reader.feed(b"x" * 100_000)
        await asyncio.sleep(0)
    with pytest.raises(BodyTooLargeError):
        await task
    assert body.received == 2_000_000
    assert body.buffered == 0


async def test_a_body_nobody_reads_makes_the_client_wait() -> None:
    flowing: list[bool] = []
    reader = Intake(lambda: flowing.append(True))
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 100_000)
    request = reader.ready[0]
    assert request.full
    request.body.discard()
    assert request.body.buffered == 0
    assert flowing


async def test_a_client_that_leaves_cuts_its_body_short() -> None:
    reader = intake()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
    reader.end()
    with pytest.raises(BodyCutShortError):
        await reader.ready[0].body.whole()
    await reader.ready[0].body.until(None)


async def test_an_upgrade_has_a_tunnel() -> None:
    reader = intake()
    reader.feed(b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00")
    reader.feed(b"more")
    reader.end()
    tunnel = reader.ready[0].tunnel
    assert tunnel is not None
    assert [piece async for piece in tunnel.pieces()] == [b"\x81\x00", b"more"]


async def test_100_continue_is_asked_for_only_by_who_reads() -> None:
    reader = intake()
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    body = reader.ready[0].body
    said: list[bool] = []
    body.on_read = lambda: said.append(True)
    task = asyncio.create_task(body.whole())
    await asyncio.sleep(0)
    assert said == [True]
    reader.feed(b"ab")
    assert await task == b"ab"
