"""What a hop forwards, drops and adds: never a hop-by-hop field, never another framing, never a lost member."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.transport import headers
from tests.support.answers import read_answer
from tests.support.peers import OK, field, healthy, says
from tests.support.wire import raw_upstream, running_hop

Fields = list[tuple[bytes, bytes]]

HOP_BY_HOP = [
    b"Connection", b"Keep-Alive", b"Proxy-Authenticate", b"Proxy-Authorization", b"Proxy-Connection", b"TE", b"Trailer",
    b"Transfer-Encoding", b"Upgrade",
]  # fmt: skip
KEPT = [b"Content-Length", b"Host", b"Via", b"Forwarded", b"X-Forwarded-For", b"X-Request-ID", b"Proxy-Status"]
OTHERS = [b"Accept", b"Cookie", b"X-Secret", b"traceparent", b"Authorization", b"Content-Type", b"Set-Cookie"]

TOKEN = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12).map(str.encode)


@st.composite
def spelt(draw: st.DrawFn, names: list[bytes]) -> bytes:
    """One of the names, in any case."""
    name = draw(st.sampled_from(names)).decode()
    return "".join(char.upper() if draw(st.booleans()) else char.lower() for char in name).encode()


NAMES = spelt(HOP_BY_HOP + KEPT + OTHERS) | TOKEN
VALUES = st.text('abcXYZ012 ,;="\\/:é', max_size=12).map(lambda text: text.strip().encode("latin-1"))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
OPTIONS = st.lists(spelt(KEPT + OTHERS + HOP_BY_HOP + [b"close", b"keep-alive", b""]), max_size=5)


def forwarded(fields: Fields, **options: object) -> tuple[bytes, Fields]:
    settings = {"via": b"1.1 lb", "client": b"127.0.0.1", "next_hop": "127.0.0.1:9001", **options}
    connection = [value for name, value in fields if name.lower() == b"connection"]
    before, behind = headers.request_head(
        "GET",
        "/x",
        fields,
        also_dropped=headers.named_by_connection(connection),
        **settings,  # type: ignore[arg-type]
    )
    return split(before + b"id" + behind)


def relayed(status: int, fields: Fields, **options: object) -> tuple[bytes, Fields]:
    settings = {"via": b"1.1 lb", "proxy_status": b"lb", **options}
    connection = [value for name, value in fields if name.lower() == b"connection"]
    before, behind = headers.response_head(
        status,
        b"OK",
        fields,
        also_dropped=headers.named_by_connection(connection),
        **settings,  # type: ignore[arg-type]
    )
    return split(before + b"id" + behind)


def split(head: bytes) -> tuple[bytes, Fields]:
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n\r\n") == 1
    line, *lines = head[:-4].split(b"\r\n")
    fields = [tuple(each.split(b": ", 1)) for each in lines]
    return line, fields  # type: ignore[return-value]


def values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name]


def named(options: list[bytes]) -> set[bytes]:
    return {option.lower() for option in options}


# -- properties ----------------------------------------------------------------------------------------


@given(FIELDS, OPTIONS)
def test_no_request_field_of_this_hop_goes_further(fields: Fields, options: list[bytes]) -> None:
    line, sent = forwarded([*fields, (b"Connection", b", ".join(options))])
    assert line == b"GET /x HTTP/1.1"
    names = [name.lower() for name, _ in sent]
    assert not set(names) & {name.lower() for name in HOP_BY_HOP}
    assert b"expect" not in names
    kept = {name.lower() for name in KEPT}
    assert not (set(names) & named(options)) - kept
    for name in (b"via", b"x-request-id", b"x-forwarded-for", b"forwarded"):
        assert names.count(name) == 1


@given(FIELDS, OPTIONS)
def test_connection_changes_neither_framing_nor_target(fields: Fields, options: list[bytes]) -> None:
    _, sent = forwarded([*fields, (b"Connection", b",".join(options))])
    assert values(sent, b"content-length") == values(fields, b"content-length")
    assert values(sent, b"transfer-encoding") == []
    hosts = values(fields, b"host")
    # Several were refused before (RFC 9112 section 3.2).
    assert values(sent, b"host") == (hosts[-1:] or [b"127.0.0.1:9001"])
    _, back = relayed(200, [*fields, (b"Connection", b",".join(options))])
    assert values(back, b"content-length") == values(fields, b"content-length")
    assert values(back, b"transfer-encoding") == []


@given(FIELDS, OPTIONS)
def test_all_else_goes_on_as_it_came_and_in_its_order(fields: Fields, options: list[bytes]) -> None:
    listed = [option.strip() for value in values(fields, b"connection") for option in value.split(b",")]
    gone = {name.lower() for name in HOP_BY_HOP + KEPT} | named(options + listed)
    gone |= {b"x-forwarded-proto", b"x-forwarded-host", b"expect"}
    expected = [each for each in fields if each[0].lower() not in gone]
    for sent in (forwarded, lambda given: relayed(200, given)):
        _, out = sent([*fields, (b"Connection", b", ".join(options))])
        assert [each for each in out if each[0].lower() not in gone] == expected


@given(FIELDS)
def test_earlier_hops_are_not_forgotten(fields: Fields) -> None:
    _, sent = forwarded(fields)
    assert values(sent, b"via") == [b", ".join([*values(fields, b"via"), b"1.1 lb"])]
    assert values(sent, b"x-forwarded-for") == [b", ".join([*values(fields, b"x-forwarded-for"), b"127.0.0.1"])]
    assert values(sent, b"forwarded")[0].startswith(b", ".join([*values(fields, b"forwarded"), b"for=127.0.0.1"]))
    _, back = relayed(200, fields)
    assert values(back, b"via") == [b", ".join([*values(fields, b"via"), b"1.1 lb"])]
    assert values(back, b"proxy-status") == [b", ".join([*values(fields, b"proxy-status"), b"lb"])]
    assert values(back, b"x-request-id") == [b"id"]


@given(
    FIELDS, st.sampled_from([200, 204, 304, 404, 502]), st.booleans(), st.sampled_from([None, b"close", b"keep-alive"])
)
def test_a_response_says_how_it_ends_in_one_way(
    fields: Fields, status: int, chunked: bool, connection: bytes | None
) -> None:
    without_length = [each for each in fields if not chunked or each[0].lower() != b"content-length"]
    line, out = relayed(status, without_length, chunked=chunked, connection=connection)
    assert line.startswith(b"HTTP/1.1 %d " % status)
    assert values(out, b"transfer-encoding") == [b"chunked"] * chunked
    assert values(out, b"connection") == ([] if connection is None else [connection])
    if status == 204:
        assert values(out, b"content-length") == []


# -- single rules --------------------------------------------------------------------------------------


def test_a_path_with_any_bytes_goes_on_as_it_came() -> None:
    target = b"/\xff\xc3\xa9?%2f".decode("utf-8", "surrogateescape")
    head = b"i".join(headers.request_head("GET", target, [], via=b"1.1 lb", client=b"::1", next_hop="[::1]:1"))
    assert head.startswith(b"GET /\xff\xc3\xa9?%2f HTTP/1.1\r\nHost: [::1]:1\r\n")
    assert field(head, b"forwarded") == b'for="[::1]";proto=http'
    assert field(head, b"x-forwarded-host") is None


def test_host_follows_the_target_in_absolute_form() -> None:
    _, sent = forwarded([(b"Host", b"other.example")], host="shop.example:8080")
    assert values(sent, b"host") == [b"shop.example:8080"]
    assert values(sent, b"x-forwarded-host") == [b"shop.example:8080"]
    assert values(sent, b"forwarded") == [b'for=127.0.0.1;proto=http;host="shop.example:8080"']


def test_what_an_outer_proxy_said_about_the_client_stays() -> None:
    said = [(b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"shop.example"), (b"Host", b"inner")]
    _, sent = forwarded(said)
    assert values(sent, b"x-forwarded-proto") == [b"https"]
    assert values(sent, b"x-forwarded-host") == [b"shop.example"]


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"chunked": True}, [(b"Transfer-Encoding", b"chunked")]),
        ({"add_length": 5}, [(b"Content-Length", b"5")]),
        ({"upgrade": b"websocket"}, [(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]),
    ],
)
def test_the_hops_own_framing_comes_last(options: dict[str, object], added: Fields) -> None:
    _, sent = forwarded([(b"Upgrade", b"other"), (b"Transfer-Encoding", b"chunked")], **options)
    assert sent[-len(added) :] == added
    for name, value in added:
        assert values(sent, name.lower()) == [value]


def test_retry_after_in_seconds_and_nothing_else() -> None:
    assert headers.retry_after_of([(b"Retry-after", b" 7 ")]) == 7.0
    assert headers.retry_after_of([(b"Retry-After", b"Fri, 31 Dec 1999 23:59:59 GMT")]) is None
    dated = [(b"date", b"Fri, 31 Dec 1999 23:58:00 GMT"), (b"Retry-After", b"Fri, 31 Dec 1999 23:59:59 GMT")]
    assert headers.retry_after_of(dated) == 119.0
    assert headers.retry_after_of([(b"Date", b"Fri, 31 Dec 1999 23:59:59 GMT"), dated[0]]) is None
    assert headers.retry_after_of([(b"Date", b"Sat, 01 Jan 2000 00:00:09 GMT"), dated[1]]) == 0.0
    assert headers.retry_after_of([(b"Date", b"yesterday"), dated[1]]) is None
    assert headers.retry_after_of([dated[0], (b"Retry-After", b"soon")]) is None
    assert headers.retry_after_of([(b"Retry-After", b"-1")]) is None
    assert headers.retry_after_of([]) is None


def test_many_spellings_do_not_fill_the_memory() -> None:
    for n in range(3000):
        forwarded([(b"X-%d" % n, b"v"), (b"CONNECTION", b"close")])
    assert len(headers._REQUEST_NAMES) <= 1024


# -- through a hop -------------------------------------------------------------------------------------


async def test_a_request_arrives_with_what_belongs_to_it_and_no_more() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        raw = await hop.send(
            b"GET /a%2fb/../c?x=%20 HTTP/1.1\r\nhOsT: shop.example\r\nConnection: close, X-Mine, content-length\r\n"
            b"X-Mine: secret\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\n"
            b"X-Request-ID: mine\r\ntraceparent: " + trace.encode() + b"\r\nVia: 1.0 fred\r\n"
            b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nForwarded: for=10.0.0.1\r\nAccept: */*\r\n\r\n"
        )
        assert read_answer(raw).one("X-Request-ID") == b"mine"
        (head,) = upstream.heads
        assert head == (
            b"GET /a%2fb/../c?x=%20 HTTP/1.1\r\nHost: shop.example\r\nX-Request-ID: mine\r\n"
            b"traceparent: " + trace.encode() + b"\r\nAccept: */*\r\nVia: 1.0 fred, 1.1 lb\r\n"
            b"X-Forwarded-For: 10.0.0.1, 10.0.0.2, 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
            b"X-Forwarded-Host: shop.example\r\n"
            b'Forwarded: for=10.0.0.1, for=127.0.0.1;proto=http;host="shop.example"\r\n\r\n'
        )
        assert (await hop.record())["request_id"] == "mine"


async def test_a_next_hop_that_gives_up_reading_the_head_records_it_under_the_same_id() -> None:
    async with running_hop("127.0.0.1:9", limits={"request_header": 100}) as inner, running_hop(inner.address) as outer:
        answer = read_answer(await outer.get("/", f"Cookie: {'x' * 4000}"))
        assert answer.status == 431
        assert (await inner.record())["request_id"].encode() == answer.one("X-Request-ID")


@pytest.mark.parametrize("given", ["", "two words", "x" * 200, "é"])
async def test_a_request_id_that_is_none_is_replaced(given: str) -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        answer = read_answer(await hop.get("/", f"X-Request-ID: {given}"))
        made = answer.one("X-Request-ID") or b""
        assert len(made) == 16
        assert field(upstream.heads[0], b"x-request-id") == made
        assert (await hop.record())["request_id"] == made.decode()


async def test_an_absolute_target_is_rewritten_and_names_the_host() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get("HTTP://Other.Example:81/a%2fb?c#d")
        assert upstream.heads[0].startswith(b"GET /a%2fb?c#d HTTP/1.1\r\nHost: Other.Example:81\r\n")


async def test_a_response_comes_with_what_belongs_to_it_and_no_more() -> None:
    sent = (
        b"HTTP/1.1 200 OK\r\nServer: app\r\nDate: then\r\nConnection: keep-alive, X-Mine\r\nX-Mine: secret\r\n"
        b"Keep-Alive: timeout=5\r\nVia: 1.1 app\r\nProxy-Status: inner; error=connection_refused\r\n"
        b"X-Request-ID: theirs\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nok"
    )
    async with raw_upstream(says(sent)) as upstream, running_hop(upstream.address) as hop:
        raw = await hop.get("/", "X-Request-ID: mine")
        assert raw == (
            b"HTTP/1.1 200 OK\r\nServer: app\r\nDate: then\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"Content-Length: 2\r\nVia: 1.1 app, 1.1 lb\r\nX-Request-ID: mine\r\n"
            b'Proxy-Status: inner; error=connection_refused, lb; next-hop="%b"; received-status=200\r\n'
            b"Connection: close\r\n\r\nok" % upstream.address.encode()
        )


async def test_an_error_of_ones_own_carries_the_same_trail() -> None:
    async with raw_upstream(says()) as upstream, running_hop(upstream.address) as hop:
        answer = read_answer(await hop.get("/", "X-Request-ID: mine"))
        assert (answer.one("Via"), answer.one("X-Request-ID")) == (b"1.1 lb", b"mine")
        assert answer.one("Cache-Control") == b"no-store"
        assert answer.one("Date")
        assert answer.problem["request_id"] == "mine"


async def test_nothing_that_an_endpoint_says_can_begin_a_second_head() -> None:
    """llhttp refuses bare CR and LF; what is left is text, and stays one line each."""
    sent = OK.replace(b"\r\n\r\n", b"\r\nX: a\\r\\nSet-Cookie: evil=1\r\n\r\n")
    async with raw_upstream(says(sent)) as upstream, running_hop(upstream.address) as hop:
        assert read_answer(await hop.get()).one("Set-Cookie") is None
