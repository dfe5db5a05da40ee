"""What a hop relays: framing as the client understands it, headers, and cuts that the client can see."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.support.answers import Answer, dechunked, read_answer, read_answers
from tests.support.peers import OK, Ending, says
from tests.support.rawclient import RawClient
from tests.support.wire import RawUpstream, raw_upstream, running_hop

IMPATIENT = {"between_bytes": "400ms"}


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((status, *lines, b"", b""))


CHUNKED = head(b"Transfer-Encoding: chunked")
UNENDED = head(b"Connection: close")


async def ask(client: RawClient, path: str = "/", *headers: str, method: str = "GET", version: str = "1.1") -> None:
    lines = [f"{method} {path} HTTP/{version}", "Host: shop.example", *headers, "", ""]
    await client.send("\r\n".join(lines).encode())


# -- good responses ------------------------------------------------------------------------------------

WHOLE: list[tuple[str, bytes, str, bytes]] = [
    ("length", head(b"Content-Length: 5") + b"hello", "length", b"hello"),
    ("length, empty", head(b"Content-Length: 0"), "length", b""),
    ("space behind the length", head(b"Content-Length: 5 ") + b"hello", "length", b"hello"),
    ("chunked", CHUNKED + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", "chunked", b"hello"),
    ("chunked, empty", CHUNKED + b"0\r\n\r\n", "chunked", b""),
    ("chunked with trailers", CHUNKED + b"5\r\nhello\r\n0\r\nSecret: trailer\r\n\r\n", "chunked", b"hello"),
    ("chunked HTTP/1.0", head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK") + b"5\r\nhello\r\n0\r\n\r\n",
     "chunked", b"hello"),
    ("ended by FIN", UNENDED + b"hello", "chunked", b"hello"),
    ("ended by FIN, empty", UNENDED, "chunked", b""),
    ("HTTP/1.0 ended by FIN", head(status=b"HTTP/1.0 200 OK") + b"hello", "chunked", b"hello"),
    ("no reason, no space", head(b"Content-Length: 5", status=b"HTTP/1.1 200") + b"hello", "length", b"hello"),
    ("another minor version", head(b"Content-Length: 5", status=b"HTTP/1.2 200 OK") + b"hello", "length", b"hello"),
    ("7 KiB header", head(b"A: " + b"x" * 7168, b"Content-Length: 5") + b"hello", "length", b"hello"),
    ("empty lines before", b"\r\n\r\n" + head(b"Content-Length: 5") + b"hello", "length", b"hello"),
    ("junk behind", head(b"Content-Length: 5") + b"helloJUNK", "length", b"hello"),
    ("a response behind", head(b"Content-Length: 5") + b"hello" + head(b"Content-Length: 6") + b"POISON", "length",
     b"hello"),
    ("a response behind Connection: close", head(b"Connection: close", b"Content-Length: 5") + b"helloHTTP/1.1 200",
     "length", b"hello"),
    ("500 of its own", head(b"Content-Length: 5", status=b"HTTP/1.1 500 Oh") + b"hello", "length", b"hello"),
    ("503 of its own", head(b"Content-Length: 5", b"Retry-After: 7", status=b"HTTP/1.1 503 Later") + b"hello",
     "length", b"hello"),
    ("100 swallowed", head(status=b"HTTP/1.1 100 Continue") + head(b"Content-Length: 5") + b"hello", "length",
     b"hello"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "framing", "body"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
async def test_a_whole_response_is_relayed_in_a_framing_that_shows_its_end(
    sent: bytes, framing: str, body: bytes
) -> None:
    async with raw_upstream(says(sent)) as upstream, running_hop(upstream.address) as hop:
        answer = read_answer(await hop.get())
        assert answer.data == body
        assert (answer.one("Transfer-Encoding") == b"chunked") == (framing == "chunked")
        assert b"Secret" not in answer.body
        status = int(sent[sent.index(b"HTTP/1.") :].split()[1])
        assert answer.status == (200 if status == 100 else status)
        assert [str(member.received_status) for member in answer.members] == [str(answer.status)]
        record = await hop.record()
        assert (record["status"], record["generated"], record["truncated"]) == (answer.status, False, False)
        assert (record["error"], record["response_bytes"]) == (None, len(body))


@pytest.mark.parametrize("name", ["chunked", "ended by FIN", "chunked with trailers"])
async def test_a_client_of_http_1_0_gets_no_chunks(name: str) -> None:
    sent = next(case[1] for case in WHOLE if case[0] == name)
    async with raw_upstream(says(sent)) as upstream, running_hop(upstream.address) as hop:
        raw = await hop.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = read_answer(raw)
        assert answer.body == b"hello"
        assert (answer.all("Transfer-Encoding"), answer.one("Connection")) == ([], b"close")


async def test_via_tells_that_the_client_spoke_http_1_0() -> None:
    async with raw_upstream(says(OK, then="again")) as upstream, running_hop(upstream.address) as hop:
        await hop.send(b"GET / HTTP/1.0\r\nVia: 1.1 before\r\n\r\n")
        await hop.get("/")
        old, new = upstream.heads
        assert b"\r\nVia: 1.1 before, 1.0 lb\r\n" in old
        assert b"\r\nVia: 1.1 lb\r\n" in new


@pytest.mark.parametrize(
    ("line", "via"), [(b"HTTP/1.0 200 OK", b"1.0 lb"), (b"HTTP/1.1 200 OK", b"1.1 lb"), (b"HTTP/1.2 200 OK", b"1.2 lb")]
)
async def test_via_tells_which_version_a_response_came_in(line: bytes, via: bytes) -> None:
    kept = head(b"Content-Length: 2", b"Connection: keep-alive", status=line) + b"ok"
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    async with raw_upstream(says(kept, then="again")) as upstream, running_hop(upstream.address) as hop:
        for _ in range(3):  # its head is not understood anew each time
            assert read_answer(await hop.get("/")).all("Via") == [via]
    async with raw_upstream(says(interim + kept)) as upstream, running_hop(upstream.address) as hop:
        assert b"\r\nVia: " + via + b"\r\n" in (await hop.get("/")).partition(b"\r\n\r\n")[2]


async def test_via_of_a_stored_response_tells_which_version_it_came_in() -> None:
    sent = head(b"Content-Length: 2", b"Cache-Control: max-age=60", b"Via: 1.1 app", status=b"HTTP/1.0 200 OK") + b"ok"
    async with raw_upstream(says(sent)) as upstream, running_hop(upstream.address, cache={"enabled": True}) as hop:
        for _ in range(2):
            assert read_answer(await hop.get("/")).all("Via") == [b"1.1 app, 1.0 lb"]
        assert len(upstream.heads) == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_a_response_without_a_date_gets_the_time_at_which_it_came(times: int) -> None:
    async with raw_upstream(says(OK, then="again")) as upstream, running_hop(upstream.address) as hop:
        before = int(time.time())
        for _ in range(times):
            [date] = read_answer(await hop.get("/")).all("Date")
            assert before <= parsedate_to_datetime(date.decode()).timestamp() <= time.time()


async def test_a_date_is_relayed_as_it_is() -> None:
    sent = OK.replace(b"\r\n\r\n", b"\r\ndate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\n")
    async with raw_upstream(says(sent)) as upstream, running_hop(upstream.address) as hop:
        assert read_answer(await hop.get("/")).all("Date") == [b"Tue, 15 Nov 1994 08:12:31 GMT"]


async def test_a_client_of_http_1_0_may_keep_its_connection() -> None:
    async with (
        raw_upstream(says(OK, then="again")) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        for _ in range(2):
            await ask(client, "/", "Connection: keep-alive", version="1.0")
            await client.until(b"\r\n\r\n")
            assert b"Connection: keep-alive\r\n" in client.data
            assert await client.answer() == b"ok"
        await ask(client, "/", version="1.0")
        assert read_answer(await client.all()).one("Connection") == b"close"
        assert upstream.connections == 1


BODILESS: list[tuple[str, str, bytes, bytes | None]] = [
    ("HEAD", "length", head(b"Content-Length: 5"), b"5"),
    ("HEAD", "body sent all the same", head(b"Content-Length: 5") + b"hello", b"5"),
    ("HEAD", "chunked head", CHUNKED, None),
    ("HEAD", "chunked body sent", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", None),
    ("HEAD", "no framing", head(), None),
    ("GET", "204", head(status=b"HTTP/1.1 204 No Content"), None),
    ("GET", "204 with length and body", head(b"Content-Length: 5", status=b"HTTP/1.1 204 No") + b"hello", None),
    ("GET", "204 chunked", head(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 204 No") + b"0\r\n\r\n", None),
    ("GET", "304", head(b"Content-Length: 5", b'ETag: "x"', status=b"HTTP/1.1 304 Not Modified"), b"5"),
    ("GET", "304 with body", head(b"Content-Length: 5", status=b"HTTP/1.1 304 Not Modified") + b"hello", b"5"),
]


@pytest.mark.parametrize(
    ("method", "sent", "length"), [(case[0], *case[2:]) for case in BODILESS], ids=[f"{c[0]} {c[1]}" for c in BODILESS]
)
async def test_where_no_body_may_be_none_is_sent(method: str, sent: bytes, length: bytes | None) -> None:
    """RFC 9110 sections 8.6 (no Content-Length in a 204), 9.3.2, 15.4.5. The client's connection stays in step."""
    async with (
        raw_upstream(says(sent, then="again")) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        for _ in range(2):
            await ask(client, method=method)
            answer = read_answer(await client.until(b"\r\n\r\n"))
            assert (answer.one("Content-Length"), answer.all("Transfer-Encoding")) == (length, [])
            assert answer.one("Connection") is None
            assert answer.body == b""
            client.packets.clear()
        assert await client.silent(0.03)
        assert [record["response_bytes"] for record in await hop.records(2)] == [0, 0]


async def test_interim_responses_are_relayed_and_100_is_not() -> None:
    hints = head(b"Link: </style.css>", b"Content-Length: 3", status=b"HTTP/1.1 103 Early Hints")
    sent = hints * 5 + head(status=b"HTTP/1.1 100 Continue") + OK
    async with raw_upstream(says(sent)) as upstream, running_hop(upstream.address) as hop:
        *interim, final = read_answers(await hop.get())
        assert [answer.line for answer in interim] == [b"HTTP/1.1 103 Early Hints"] * 5
        assert all(answer.fields == [(b"Link", b"</style.css>")] for answer in interim)
        assert (final.status, final.data) == (200, b"ok")
        assert (await hop.record())["attempts"][0]["status"] == 200


async def test_a_client_of_http_1_0_gets_no_interim_response() -> None:
    async with (
        raw_upstream(says(head(status=b"HTTP/1.1 103 Early Hints") + OK)) as upstream,
        running_hop(upstream.address) as hop,
    ):
        assert read_answer(await hop.send(b"GET / HTTP/1.0\r\n\r\n")).data == b"ok"


async def test_the_reason_phrase_arrives_whole_however_it_was_cut() -> None:
    async def drips(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        for byte in head(b"Content-Length: 0", status=b"HTTP/1.1 200 Fine by me"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async with raw_upstream(drips) as upstream, running_hop(upstream.address) as hop:
        assert read_answer(await hop.get()).line == b"HTTP/1.1 200 Fine by me"


# -- what never reaches the next client ----------------------------------------------------------------


@pytest.mark.parametrize("surplus", [head(b"Content-Length: 6") + b"POISON", b"JUNK\r\n\r\n", b"\r\n"])
async def test_bytes_behind_a_response_never_reach_the_next_client(surplus: bytes) -> None:
    async with (
        raw_upstream(says(OK + surplus, then="again")) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as first,
        hop.client() as second,
    ):
        for client in (first, second, first, second):
            await ask(client)
            await client.until(b"\r\n\r\n")
            assert await client.answer() == b"ok"
            assert client.data == b""
        assert await first.silent(0.02)
        assert await second.silent(0.02)
        assert b"POISON" not in first.data + second.data


async def test_an_unsolicited_response_costs_the_peer_its_connection() -> None:
    answered = asyncio.Event()
    said = asyncio.Event()

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(OK)
        await answered.wait()
        writer.write(head(b"Content-Length: 6") + b"POISON")
        assert await reader.read() == b""
        said.set()

    async with raw_upstream(script) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await ask(client)
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"
        answered.set()
        async with asyncio.timeout(5):
            await said.wait()
        await ask(client)
        await client.until(b"\r\n\r\n")
        assert await client.answer() == b"ok"
        assert upstream.connections == 2


# -- cut short -----------------------------------------------------------------------------------------

CUT: list[tuple[str, bytes, tuple[bytes, ...], Ending, str, bytes, str]] = [
    ("length, FIN", head(b"Content-Length: 1000") + b"x" * 100, (), "close", "http_response_incomplete",
     b"x" * 100, "closed the connection in the body (100 of 1000 bytes)"),
    ("length, RST", head(b"Content-Length: 1000") + b"x" * 100, (), "reset", "http_response_incomplete",
     b"x" * 100, "reset the connection in the body (100 of 1000 bytes)"),
    ("length, stall", head(b"Content-Length: 1000") + b"x" * 100, (), "hang", "connection_read_timeout",
     b"x" * 100, "no more of the body for 0.4 s"),
    ("length, more, FIN", head(b"Content-Length: 1000") + b"x" * 100, (b"y" * 50,), "close",
     "http_response_incomplete", b"x" * 100 + b"y" * 50, "150 of 1000"),
    ("length, nothing, FIN", head(b"Content-Length: 1000"), (), "close", "http_response_incomplete", b"", "0 of 1000"),
    ("chunked, FIN", CHUNKED + b"3\r\nabc\r\n", (), "close", "http_response_incomplete", b"abc", "no last chunk"),
    ("chunked, RST", CHUNKED + b"3\r\nabc\r\n", (), "reset", "http_response_incomplete", b"abc", "reset"),
    ("chunked, stall", CHUNKED + b"3\r\nabc\r\n", (), "hang", "connection_read_timeout", b"abc", "no more"),
    ("chunked, FIN in a chunk", CHUNKED + b"3\r\nabc\r\nff\r\nde", (), "close", "http_response_incomplete", b"abcde",
     "5 bytes"),
    ("chunked, nothing, FIN", CHUNKED, (), "close", "http_response_incomplete", b"", "0 bytes"),
    ("chunked, last chunk unfinished", CHUNKED + b"3\r\nabc\r\n0\r\n", (), "close", "http_response_incomplete", b"abc",
     "no last chunk"),
    ("bad chunk size, later", CHUNKED + b"3\r\nabc\r\n", (b"zz\r\nde\r\n",), "hang", "http_response_transfer_coding",
     b"abc", "chunk size"),
    ("good and bad chunk, later", CHUNKED + b"3\r\nabc\r\n", (b"2\r\nde\r\nzz\r\n",), "hang",
     "http_response_transfer_coding", b"abcde", "chunk size"),
    ("no line end behind a chunk", CHUNKED + b"3\r\nabc", (b"XX2\r\nde\r\n",), "hang", "http_response_transfer_coding",
     b"abc", "cannot be decoded"),
    ("endless trailer", CHUNKED + b"3\r\nabc\r\n", (b"0\r\nT: " + b"x" * 100_000,), "hang",
     "http_response_trailer_section_size", b"abc", "trailers exceed"),
    ("no length, RST", UNENDED + b"hello", (), "reset", "http_response_incomplete", b"hello", "reset the connection"),
    ("no length, stall", UNENDED + b"hello", (), "hang", "connection_read_timeout", b"hello", "no more"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "later", "ending", "error", "body", "words"), [case[1:] for case in CUT], ids=[case[0] for case in CUT]
)
async def test_a_response_cut_short_is_cut_short_for_the_client_too(
    first: bytes, later: tuple[bytes, ...], ending: Ending, error: str, body: bytes, words: str
) -> None:
    """Everything received goes out, then FIN: short of the length, or without the last chunk."""
    seen = asyncio.Event()
    async with (
        raw_upstream(says(first, seen, *later, then=ending)) as upstream,
        running_hop(upstream.address, timeouts=IMPATIENT if error == "connection_read_timeout" else {}) as hop,
        hop.client() as client,
    ):
        await ask(client)
        await client.until(b"\r\n\r\n")
        seen.set()
        answer = read_answer(await client.all())
        assert client.end == "fin"
        assert answer.status == 200
        if answer.one("Content-Length") is None:
            assert dechunked(answer.body) == (body, False)
        else:
            assert answer.body == body
        record = await hop.record()
        assert (record["error"], record["truncated"], record["generated"]) == (error, True, False)
        assert (record["status"], record["response_bytes"]) == (200, len(body))
        assert words in record["details"]
        (attempt,) = record["attempts"]
        assert (attempt["phase"], attempt["error"], attempt["status"]) == ("receive", error, 200)
        assert (await hop.send(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 ")  # and it goes on serving
        assert upstream.connections == 2


@pytest.mark.parametrize(("framing", "end"), [(UNENDED, "reset"), (head(b"Content-Length: 9"), "fin")])
async def test_a_cut_is_a_reset_where_an_orderly_end_would_look_complete(framing: bytes, end: str) -> None:
    seen = asyncio.Event()
    async with (
        raw_upstream(says(framing + b"hello", seen, then="reset")) as upstream,
        running_hop(upstream.address) as hop,
        hop.client() as client,
    ):
        await ask(client, version="1.0")
        await client.until(b"hello")
        seen.set()
        raw = await client.all()
        assert client.end == end
        assert read_answer(raw).body == b"hello"
        assert (await hop.record())["truncated"]


async def test_a_body_that_arrives_with_its_end_is_still_relayed_as_far_as_it_goes() -> None:
    """Head, part of the body and FIN in one go: all seven real proxies send the head and cut the body."""
    async with (
        raw_upstream(says(head(b"Content-Length: 1000") + b"x" * 100)) as upstream,
        running_hop(upstream.address) as hop,
    ):
        answer = read_answer(await hop.get())
        assert (answer.status, answer.body) == (200, b"x" * 100)


def test_answers_are_read_strictly() -> None:
    answer = Answer(200, b"", [(b"Transfer-Encoding", b"chunked")], b"3\r\nabc\r\n")
    with pytest.raises(AssertionError, match="no last chunk"):
        _ = answer.data
