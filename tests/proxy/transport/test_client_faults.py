"""What is wrong with a request is the client's: refused before an endpoint hears of it, named, recorded, not logged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.client_connection import ClientConnection
from badgateway_proxy.transport.client_faults import as_http_1_1, check_framing, id_in, origin_form, unparsable
from tests.support.answers import read_answer
from tests.support.peers import OK, healthy, says
from tests.support.processes import until
from tests.support.wire import raw_upstream, running_hop


def request(
    line: str = "GET /x HTTP/1.1", *lines: str, host: str | None = "Host: shop.example", body: str = ""
) -> bytes:
    kept = [line, *([host] if host else []), *lines]
    return ("\r\n".join(kept) + "\r\n\r\n" + body).encode("latin-1")


def post(*lines: str, body: str = "") -> bytes:
    return request("POST /x HTTP/1.1", *lines, body=body)


CHUNKED = "Transfer-Encoding: chunked"

REFUSED: list[tuple[str, bytes, int, str]] = [
    # versions: RFC 9110 section 2.5, 15.6.6; RFC 9112 section 2.3
    ("HTTP/2.0", request("GET /x HTTP/2.0"), 505, "HTTP/2.0 is not spoken here"),
    ("HTTP/3.7", request("GET /x HTTP/3.7"), 505, "HTTP/3.7 is not spoken here"),
    ("HTTP/0.9", request("GET /x HTTP/0.9"), 505, "HTTP/0.9 is not spoken here"),
    ("simple request", b"GET /x\r\n\r\n", 505, "HTTP/0.9 is not spoken here"),
    ("HTTP/1.1.1", request("GET /x HTTP/1.1.1"), 400, ""),
    ("lower case", request("GET /x http/1.1"), 400, ""),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2.0 is not spoken here"),
    ("TLS handshake", bytes.fromhex("1603010200010001fc0303") + bytes(120), 400, "TLS handshake on a plaintext port"),
    ("garbage", b"\x8f\x01\xff\r\n\r\n", 400, ""),
    # methods: RFC 9110 section 9.1
    ("CONNECT with a path", b"CONNECT /x HTTP/1.1\r\nHost: shop.example\r\n\r\n", 501, "CONNECT"),
    ("CONNECT", b"CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n", 501, "CONNECT"),
    ("unknown method", request("FROB /x HTTP/1.1"), 501, "FROB"),
    ("method in lower case", request("get /x HTTP/1.1"), 501, "get"),
    ("no token as method", request("G@T /x HTTP/1.1"), 400, ""),
    # targets
    ("no path", request("GET x HTTP/1.1"), 400, ""),
    ("asterisk with GET", request("GET * HTTP/1.1"), 400, ""),
    ("another scheme", request("GET ftp://shop.example/x HTTP/1.1"), 400, "neither a path nor"),
    ("user info", request("GET http://user@shop.example/x HTTP/1.1"), 400, "user"),
    # Host: RFC 9112 section 3.2
    ("no Host", request(host=None), 400, "Host"),
    ("two Hosts", request("GET /x HTTP/1.1", "Host: other.example"), 400, "Host"),
    ("a Host with a space", request(host="Host: a b"), 400, "Host"),
    ("a Host with user information", request(host="Host: me@shop.example"), 400, "Host"),
    ("a Host with a path", request(host="Host: shop.example/x"), 400, "Host"),
    ("a Host with a port that is no number", request(host="Host: shop.example:http"), 400, "Host"),
    ("two Hosts in one", request(host="Host: a.example:80:80"), 400, "Host"),
    ("a Host that is not ASCII", request(host="Host: b\xfccher.example"), 400, "Host"),
    # header lines
    ("obs-fold", request("GET /x HTTP/1.1", "A: b", " c"), 400, ""),
    ("bare CR", request("GET /x HTTP/1.1", "A: b\rc"), 400, ""),
    ("LF only", b"GET /x HTTP/1.1\nHost: shop.example\n\n", 400, ""),
    ("NUL", request("GET /x HTTP/1.1", "A: b\0c"), 400, ""),
    ("control character", request("GET /x HTTP/1.1", "A: b\x01c"), 400, ""),
    ("space before the colon", request("GET /x HTTP/1.1", "A : b"), 400, ""),
    ("space in the name", request("GET /x HTTP/1.1", "A b: c"), 400, ""),
    ("no colon", request("GET /x HTTP/1.1", "A"), 400, ""),
    # lengths: RFC 9112 section 6.3
    ("two lengths", post("Content-Length: 5", "Content-Length: 6", body="hello"), 400, "Content-Length"),
    ("the same length twice", post("Content-Length: 5", "Content-Length: 5", body="hello"), 400, "Content-Length"),
    ("length 5, 5", post("Content-Length: 5, 5", body="hello"), 400, ""),
    ("length 5, 6", post("Content-Length: 5, 6", body="hello"), 400, ""),
    ("length -5", post("Content-Length: -5", body="hello"), 400, ""),
    ("length +5", post("Content-Length: +5", body="hello"), 400, ""),
    ("length abc", post("Content-Length: abc", body="hello"), 400, ""),
    ("length 0x5", post("Content-Length: 0x5", body="hello"), 400, ""),
    ("empty length", post("Content-Length: ", body="hello"), 400, ""),
    ("huge length", post("Content-Length: 99999999999999999999"), 400, ""),
    # codings: RFC 9112 section 6.1 and 11.2
    ("length and chunked", post("Content-Length: 5", CHUNKED, body="0\r\n\r\n"), 400, ""),
    ("chunked and length", post(CHUNKED, "Content-Length: 5", body="0\r\n\r\n"), 400, ""),
    ("space before the colon of the coding", post("Transfer-Encoding : chunked", body="0\r\n\r\n"), 400, ""),
    ("chunked, identity", post("Transfer-Encoding: chunked, identity", body="0\r\n\r\n"), 400, ""),
    ("chunked and identity", post(CHUNKED, "Transfer-Encoding: identity", body="0\r\n\r\n"), 400, ""),
    ("chunked twice", post(CHUNKED, CHUNKED, body="0\r\n\r\n"), 400, ""),
    ("chunked, chunked", post("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"), 400, ""),
    ("xchunked", post("Transfer-Encoding: xchunked", body="0\r\n\r\n"), 400, ""),
    ("vertical tab before chunked", post("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n"), 400, ""),
    ("gzip alone", post("Transfer-Encoding: gzip"), 400, ""),
    ("gzip, chunked", post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), 501, "transfer coding"),
    ("chunked in HTTP/1.0", request("POST /x HTTP/1.0", CHUNKED, body="0\r\n\r\n"), 400, "HTTP/1.0"),
    ("bad chunk size", post(CHUNKED, body="zz\r\nhello\r\n0\r\n\r\n"), 400, ""),
    ("chunk size with 0x", post(CHUNKED, body="0x5\r\nhello\r\n0\r\n\r\n"), 400, ""),
    ("huge chunk size", post(CHUNKED, body="fffffffffffffffff\r\nhello"), 400, ""),
    ("chunks ended by LF", post(CHUNKED, body="5\nhello\n0\n\n"), 400, ""),
    # sizes: RFC 6585 section 5; RFC 9110 section 15.5.15
    ("long request line", request("GET /" + "x" * 9000 + " HTTP/1.1"), 414, "request line is too long"),
    ("64 KiB header", request("GET /x HTTP/1.1", "A: " + "x" * 65536), 431, "header is too long"),
    ("long line, longer header", request("GET /" + "x" * 600 + " HTTP/1.1", "A: " + "x" * 9000), 431, "header"),
    ("1.5 MiB header", request("GET /x HTTP/1.1", "A: " + "x" * 1572864), 431, "header is too long"),
    ("129 headers", request("GET /x HTTP/1.1", *(f"A{n}: b" for n in range(129))), 431, "too many request headers"),
    ("72 KiB of headers", request("GET /x HTTP/1.1", *(f"A{n}: {'x' * 8000}" for n in range(9))), 431, "65536 bytes"),
    ("declared body too large", post("Content-Length: 1048577"), 413, "exceeds 1048576 bytes"),
]


@pytest.mark.parametrize(("sent", "status", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_a_request_that_is_none_is_refused_in_the_hops_own_words(sent: bytes, status: int, words: str) -> None:
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, limits={"request_body": 1048576}) as hop,
    ):
        answer = read_answer(await hop.send(sent))
        assert answer.status == status
        assert answer.line.startswith(b"HTTP/1.1 ")
        assert answer.one("Connection") == b"close"
        assert answer.one("Via") == b"1.1 lb"
        assert answer.one("X-Request-ID")
        error = "http_request_error" if status < 500 else "proxy_internal_response"
        assert (answer.error, answer.members[-1].next_hop) == (error, None)
        assert words in (answer.members[-1].details or "")
        assert (answer.problem["error"], answer.problem["tier"]) == (error, "lb")
        record = await hop.record()
        assert (record["status"], record["generated"], record["error"]) == (status, True, error)
        assert (record["attempts"], record["client_gone"]) == ([], False)
        assert record["client"].startswith("127.0.0.1:")
        assert record["request_id"] == (answer.one("X-Request-ID") or b"").decode()
        assert upstream.connections == 0
        assert hop.hop.breaker.snapshot(hop.hop.clock.now())["calls"] == 0


SERVED: list[tuple[str, bytes]] = [
    ("another minor version", request("GET /x HTTP/1.2")),
    ("the highest minor version", request("GET /x HTTP/1.9")),
    ("HTTP/1.0", request("GET /x HTTP/1.0")),
    ("HTTP/1.0 without Host", request("GET /x HTTP/1.0", host=None)),
    ("empty line before", b"\r\n" + request()),
    ("empty header", request("GET /x HTTP/1.1", "A:")),
    ("7 KiB header", request("GET /x HTTP/1.1", "A: " + "x" * 7168)),
    ("8 KiB request line", request("GET /" + "x" * 8180 + " HTTP/1.1")),
    ("unusual method", request("PROPFIND /x HTTP/1.1")),
    ("asterisk", request("OPTIONS * HTTP/1.1")),
    ("empty Host", request(host="Host:")),
    ("Host with a port", request(host="Host: shop.example:8080")),
    ("Host with an empty port", request(host="Host: shop.example:")),
    ("an IPv6 address", request(host="Host: [::1]:8080")),
    ("a name with an underscore", request(host="Host: app_1")),
]


@pytest.mark.parametrize("sent", [case[1] for case in SERVED], ids=[case[0] for case in SERVED])
async def test_what_only_looks_odd_is_served(sent: bytes) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(sent)
        await client.until(b"\r\n\r\n")
        assert client.data.startswith(b"HTTP/1.1 200 OK\r\n"), client.data
        assert await client.answer() == b"ok"
        (forwarded,) = upstream.heads
        assert forwarded.split(b"\r\n")[0].endswith(b" HTTP/1.1")
        assert forwarded.lower().count(b"\r\nhost:") == 1


async def test_a_refusal_is_recorded_under_what_the_request_line_said() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.send(request("GET /shop?a=b HTTP/3.7", "X-Request-ID: mine"))
        record = await hop.record()
        assert (record["method"], record["target"]) == ("GET", "/shop?a=b")


LATE = "X-Request-ID: mine"
LATE_IDS: list[tuple[str, bytes, int]] = [
    ("behind a long request line", request("GET /" + "x" * 9000 + " HTTP/1.1", LATE), 414),
    ("behind a long header", request("GET /xx HTTP/1.1", "A: " + "x" * 9000, LATE), 431),
    ("behind many headers", request("GET /xx HTTP/1.1", *(f"A{n}: b" for n in range(200)), LATE), 431),
    ("behind what is no header", request("GET /xx HTTP/1.1", "A: " + "x" * 600, "A", LATE), 400),
]


@pytest.mark.parametrize("under_way", [False, True], ids=["alone", "pipelined"])
@pytest.mark.parametrize(("sent", "status"), [case[1:] for case in LATE_IDS], ids=[case[0] for case in LATE_IDS])
async def test_a_refusal_is_found_by_an_id_wherever_it_stands(sent: bytes, status: int, under_way: bool) -> None:
    go_on = asyncio.Event()
    async with (
        raw_upstream(says(go_on, OK, then="hang")) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        if under_way:
            await client.get("/before", "X-Request-ID: before")
            await until(lambda: upstream.heads)
        await client.send(sent)
        if under_way:
            (connection,) = hop.server.connections
            await until(lambda: connection._messages)
            go_on.set()
            await client.answer()
        answer = read_answer(await client.all())
        assert (answer.status, answer.one("X-Request-ID")) == (status, b"mine")
        record = (await hop.records(2 if under_way else 1))[-1]
        assert (record["status"], record["request_id"], record["method"]) == (status, "mine", "GET")
        assert record["target"].startswith("/xx")
        assert record["proxy_status"].encode() == answer.one("Proxy-Status")


async def test_a_414_has_the_same_id_at_the_hop_before() -> None:
    long = request("GET /" + "x" * 5000 + " HTTP/1.1", "Connection: close", "A: " + "a" * 600, LATE)
    async with (
        raw_upstream(healthy) as upstream,
        running_hop(upstream.address, limits={"request_line": 4000}) as hop,
        running_hop(hop.address, name="cdn") as before,
    ):
        answer = read_answer(await before.send(long))
        assert (answer.status, answer.one("X-Request-ID")) == (414, b"mine")
        assert ((await before.record())["request_id"], (await hop.record())["request_id"]) == ("mine", "mine")


async def test_the_id_of_a_line_that_has_not_ended_is_not_waited_for() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(b"GET /" + b"x" * 9000)
        answer = read_answer(await client.all())
        assert answer.status == 414
        assert (await hop.record())["request_id"].encode() == answer.one("X-Request-ID")


async def test_a_long_request_line_is_one_also_behind_another_request() -> None:
    """In one packet; the parser tells nothing of the first request then."""
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        answer = read_answer(await hop.send(request() + request("GET /" + "y" * 9000 + " HTTP/1.1")))
        assert answer.status == 414


async def test_half_a_head_behind_a_request_under_way_is_recorded_as_what_it_began_as() -> None:
    go_on = asyncio.Event()
    async with (
        raw_upstream(says(go_on, OK, then="hang")) as upstream,
        running_hop(upstream.address, timeouts={"client_head": "100ms"}) as hop,
        hop.client() as client,
    ):
        await client.get("/before")
        await until(lambda: upstream.heads)
        await client.send(b"GET /half HTTP/1.1\r\nX-Request-ID: mine\r\n")
        (connection,) = hop.server.connections
        assert isinstance(connection, ClientConnection)
        await until(lambda: connection._next_begun)
        go_on.set()
        await client.answer()
        answer = read_answer(await client.all())
        assert (answer.status, answer.one("X-Request-ID")) == (408, b"mine")
        record = (await hop.records(2))[-1]
        assert (record["request_id"], record["method"], record["target"]) == ("mine", "GET", "/half")


async def test_a_page_for_people_and_no_word_of_theirs_unescaped() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        answer = read_answer(await hop.get("ftp://shop.example/<script>", "Accept: text/html"))
        assert answer.status == 400
        assert answer.one("Content-Type") == b"text/html; charset=utf-8"
        assert b"<script>" not in answer.body


# -- the pure functions --------------------------------------------------------------------------------

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"Content-Length", b"content-length", b"Transfer-Encoding", b"TRANSFER-ENCODING", b"Host", b"A"]
        ),
        st.sampled_from(
            [b"5", b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b""]
        ),
    ),
    max_size=4,
)


@given(HEADERS, st.booleans())
def test_what_passes_can_be_read_in_one_way_only(headers: list[tuple[bytes, bytes]], http_1_0: bool) -> None:
    """Even where aiohttp's parser were more lenient than it is, but for repeated lengths, which are its business."""
    try:
        check_framing(message(headers, http_1_0=http_1_0), max_header=100, max_headers=10_000)
    except HopError:
        return
    names = [name.lower() for name, _ in headers]
    codings = [value.lower() for name, value in headers if name.lower() == b"transfer-encoding"]
    assert codings in ([], [b"chunked"])
    if codings:
        assert b"content-length" not in names
        assert not http_1_0


@pytest.mark.parametrize(
    "value", [b"\xc2\xa0chunked", b"chun\xe2\x84\xaaed", b"\x0bchunked", b"chunked\x85", b"chunked;q=1"]
)
async def test_a_coding_that_only_looks_like_chunked_is_none(value: bytes) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        sent = request("POST / HTTP/1.1", "Transfer-Encoding: VALUE").replace(b"VALUE", value) + b"0\r\n\r\n"
        assert read_answer(await hop.send(sent)).status == 400
        assert upstream.connections == 0


def message(
    headers: Sequence[tuple[bytes, bytes]] = (), *, http_1_0: bool = False, method: str = "GET", target: str = "/"
) -> RawRequestMessage:
    fields = CIMultiDictProxy(CIMultiDict((name.decode(), value.decode()) for name, value in headers))
    version = HttpVersion10 if http_1_0 else HttpVersion11
    return RawRequestMessage(method, target, version, fields, tuple(headers), False, None, False, False, URL("/"))


@given(st.text(alphabet="/?#@:.ax%[]", max_size=12), st.sampled_from(["http://", "HTTPS://", "", "/", "//"]))
def test_whatever_the_target_what_goes_on_is_a_path(rest: str, scheme: str) -> None:
    try:
        target = origin_form(message(target=scheme + rest))
    except HopError:
        return
    assert target.startswith("/")
    assert (scheme + rest).endswith(target.removeprefix("/")) or target == "/"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://a/x%2f..//y?z=%20", "/x%2f..//y?z=%20"),
        ("HTTP://a", "/"),
        ("http://a?b", "/?b"),
        ("https://a:8443/", "/"),
        ("http://[::1]:80/x", "/x"),
    ],
)
def test_a_path_goes_on_as_it_was_written(target: str, path: str) -> None:
    assert origin_form(message(target=target)) == path


def test_options_without_a_path_asks_about_the_server() -> None:
    """RFC 9112 section 3.2.4."""
    assert origin_form(message(method="OPTIONS", target="http://a")) == "*"


@given(st.integers(2, 9), st.sampled_from([b"", b"\r\n"]), st.binary(max_size=40))
def test_a_later_minor_version_is_replaced_and_nothing_else(minor: int, before: bytes, behind: bytes) -> None:
    head = before + b"GET /HTTP/1.7 HTTP/1.%d\r\n" % minor + behind
    assert as_http_1_1(head) == before + b"GET /HTTP/1.7 HTTP/1.1\r\n" + behind


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n", b"GET / HTTP/2.0\r\n", b"GET / HTTP/1.10\r\n", b"", b"GET / HTTP/1."]
)
def test_other_versions_are_left_alone(head: bytes) -> None:
    assert as_http_1_1(head) is None


@given(st.binary(max_size=600))
def test_whatever_came_first_there_is_a_status_and_a_sentence(start: bytes) -> None:
    error = unparsable(BadHttpMessage("Bad status line:\n  nonsense"), start)
    assert error.status in (400, 501, 505)
    assert error.details


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"BREW / HTTP/1.1\r\nHost: a\r\nX-Request-ID: abc-1\r\n\r\n", "abc-1"),
        (b"BREW / HTTP/1.1\r\nx-request-id:\t abc \r\nHost: a\r\n\r\n", "abc"),
        (b"BREW / HTTP/1.1\r\nX-Request-ID: cutoff", None),
        (b"BREW / HTTP/1.1\r\nX-Request-ID: two words\r\n\r\n", None),
        (b"BREW / HTTP/1.1\r\nX-Request-ID: " + b"a" * 129 + b"\r\n\r\n", None),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\nX-Request-ID: abc\r\n", None),
        (b"X-Request-ID: abc\r\n\r\n", None),
        (b"", None),
    ],
)
def test_the_id_of_what_cannot_be_parsed(head: bytes, found: str | None) -> None:
    assert id_in(head) == found
