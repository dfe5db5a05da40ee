from __future__ import annotations

import pytest

from badgateway_proxy.transport.max_forwards import forwards_left
from tests.support.answers import read_answer
from tests.support.peers import OK, says
from tests.support.wire import raw_upstream, running_hop


@pytest.mark.parametrize(
    ("method", "values", "left"),
    [
        ("TRACE", [b"0"], 0),
        ("OPTIONS", [b"3"], 3),
        ("GET", [b"0"], None),
        ("TRACE", [], None),
        ("TRACE", [b"-1"], None),
        ("TRACE", [b"many"], None),
        ("TRACE", [b"1", b"2"], None),
        ("TRACE", [b"9" * 50], 999_999_999),
    ],
)
def test_how_many_hops_are_left(method: str, values: list[bytes], left: int | None) -> None:
    assert forwards_left(method, {b"max-forwards": values} if values else {}) == left


async def test_at_zero_trace_shows_what_came_without_secrets() -> None:
    async with running_hop("127.0.0.1:9") as hop:
        lines = ("Max-Forwards: 0", "Via: 1.1 cdn", "Cookie: a=b", "authorization: Bearer x", "X-A: 1")
        answer = read_answer(await hop.get("/products?a=b", *lines, method="TRACE"))
        assert (answer.status, answer.error) == (200, "proxy_internal_response")
        assert answer.one("Content-Type") == b"message/http"
        assert answer.data == (
            b"TRACE /products?a=b HTTP/1.1\r\nHost: example\r\nConnection: close\r\nMax-Forwards: 0\r\n"
            b"Via: 1.1 cdn\r\nX-A: 1\r\n\r\n"
        )
        assert (await hop.record())["attempts"] == []


async def test_at_zero_options_says_what_the_hop_can() -> None:
    async with running_hop("127.0.0.1:9") as hop:
        answer = read_answer(await hop.get("/", "Max-Forwards: 0", method="OPTIONS"))
        assert (answer.status, answer.data) == (200, b"")
        assert b"TRACE" in (answer.one("Allow") or b"")


@pytest.mark.parametrize(
    ("method", "sent", "forwarded"),
    [("TRACE", b"2", b"1"), ("OPTIONS", b"1", b"0"), ("GET", b"0", b"0"), ("TRACE", b"many", b"many")],
)
async def test_else_it_goes_on_one_less(method: str, sent: bytes, forwarded: bytes) -> None:
    async with raw_upstream(says(OK)) as upstream, running_hop(upstream.address) as hop:
        answer = read_answer(await hop.get("/", f"Max-Forwards: {sent.decode()}", method=method))
        assert answer.status == 200
        assert upstream.heads[0].count(b"Max-Forwards: ") == 1
        assert b"\r\nMax-Forwards: %b\r\n" % forwarded in upstream.heads[0]
