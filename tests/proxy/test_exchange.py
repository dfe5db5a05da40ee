"""What a hop makes of an endpoint that fails before its head is whole: it answers for itself, and says why."""

from __future__ import annotations

import asyncio

import pytest

from badgateway_proxy.records import escape_bytes
from tests.support.answers import read_answers
from tests.support.peers import OK, Script, healthy, reset, says
from tests.support.wire import RawUpstream, raw_upstream, running_hop

TERMINATED = "connection_terminated"
INCOMPLETE = "http_response_incomplete"
PROTOCOL = "http_protocol_error"
CODING = "http_response_transfer_coding"
SECTION = "http_response_header_section_size"
HEADER = "http_response_header_size"


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((status, *lines, b"", b""))


async def close_at_once(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset_at_once(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def half_close_at_once(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    while await reader.read(65536):
        pass


async def greets(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    while await reader.read(65536):
        pass


GONE: list[tuple[str, Script, str, str]] = [
    ("FIN before a byte", says(), TERMINATED, "closed the connection"),
    ("RST before a byte", says(then="reset"), TERMINATED, "reset the connection"),
    ("FIN on accept", close_at_once, TERMINATED, "connection"),
    ("RST on accept", reset_at_once, TERMINATED, "connection"),
    ("half-close on accept", half_close_at_once, TERMINATED, "closed the connection"),
    ("FIN in the head", says(b"HTTP/1.1 200 OK\r\nContent-"), INCOMPLETE, "in the response head (25 bytes)"),
    ("FIN behind the status line", says(b"HTTP/1.1 200 OK\r\n"), INCOMPLETE, "in the response head"),
    ("FIN in the status line", says(b"HTTP/1.1 20"), INCOMPLETE, "closed the connection in the response head"),
    ("RST in the head", says(b"HTTP/1.1 200 OK\r\nA: b", then="reset"), INCOMPLETE, "reset the connection"),
    ("FIN behind a 103", says(head(status=b"HTTP/1.1 103 Early Hints")), INCOMPLETE, "in the response head"),
]

# Sent by a peer that then stays silent: the verdict must not wait for the deadline.
UNUSABLE: list[tuple[str, bytes, str, str]] = [
    ("garbage", b"\x8f\x01\xff garbage \r\n\r\n", PROTOCOL, "does not start with HTTP/"),
    ("a line", b"hello\n", PROTOCOL, "does not start with HTTP/"),
    ("HTTP/0.9", b"<html>hello</html>", PROTOCOL, "does not start with HTTP/"),
    ("status 99", head(status=b"HTTP/1.1 99 Weird"), PROTOCOL, "tatus"),
    ("status abc", head(status=b"HTTP/1.1 abc X"), PROTOCOL, "tatus"),
    ("status 000", head(status=b"HTTP/1.1 000 X"), PROTOCOL, "status code 0"),
    ("status 999", head(b"Content-Length: 0", status=b"HTTP/1.1 999 X"), PROTOCOL, "status code 999"),
    ("status 2000", head(status=b"HTTP/1.1 2000 X"), PROTOCOL, "tatus"),
    ("no space before the reason", head(status=b"HTTP/1.1 200OK"), PROTOCOL, "tatus"),
    ("NUL in the reason", head(b"Content-Length: 0", status=b"HTTP/1.1 200 O\0K"), PROTOCOL, "reason phrase"),
    ("HTTP/2.0", head(b"Content-Length: 0", status=b"HTTP/2.0 200 OK"), PROTOCOL, "HTTP version 2.0"),
    ("HTTP/3.7", head(b"Content-Length: 0", status=b"HTTP/3.7 200 OK"), PROTOCOL, "HTTP version 3.7"),
    ("HTTP/0.9 in words", head(b"Content-Length: 0", status=b"HTTP/0.9 200 OK"), PROTOCOL, "HTTP version 0.9"),
    ("lower case", head(b"Content-Length: 0", status=b"http/1.1 200 OK"), PROTOCOL, "does not start with HTTP/"),
    ("RTSP", head(b"Content-Length: 0", status=b"RTSP/1.0 200 OK"), PROTOCOL, "does not start with HTTP/"),
    ("ICE", head(b"Content-Length: 0", status=b"ICE/1.0 200 OK"), PROTOCOL, "does not start with HTTP/"),
    ("obs-fold", head(b"A: b", b" c", b"Content-Length: 0"), PROTOCOL, "whitespace"),
    ("NUL in a value", head(b"A: b\0c", b"Content-Length: 0"), PROTOCOL, "header value"),
    ("control character", head(b"A: b\x01c", b"Content-Length: 0"), PROTOCOL, "header value"),
    ("bare CR", head(b"A: b\rc", b"Content-Length: 0"), PROTOCOL, "header value"),
    ("LF only", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", PROTOCOL, "CR"),
    ("no token as name", head(b"X(Y): v", b"Content-Length: 0"), PROTOCOL, "header"),
    ("space before the colon", head(b"A : b", b"Content-Length: 0"), PROTOCOL, "header"),
    ("no colon", head(b"A b", b"Content-Length: 0"), PROTOCOL, "header"),
    ("no name", head(b": b", b"Content-Length: 0"), PROTOCOL, "header"),
    ("64 KiB header", head(b"A: " + b"x" * 65536), HEADER, "exceeds 16384 bytes"),
    ("64 KiB header without end", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 65536, HEADER, "exceeds 16384 bytes"),
    ("1000 headers", head(*(b"A%d: x" % n for n in range(1000))), SECTION, "more than 256"),
    ("80 KiB of headers", head(*(b"A%d: %b" % (n, b"x" * 8192) for n in range(10))), SECTION, "65536 bytes"),
    ("two lengths", head(b"Content-Length: 5", b"Content-Length: 6"), PROTOCOL, "Duplicate Content-Length"),
    ("twice the same length", head(b"Content-Length: 5", b"Content-Length: 5"), PROTOCOL, "Duplicate"),
    ("length 5, 6", head(b"Content-Length: 5, 6"), PROTOCOL, "Content-Length"),
    ("length 5, 5", head(b"Content-Length: 5, 5"), PROTOCOL, "Content-Length"),
    ("length abc", head(b"Content-Length: abc"), PROTOCOL, "Content-Length"),
    ("length +5", head(b"Content-Length: +5"), PROTOCOL, "Content-Length"),
    ("length -5", head(b"Content-Length: -5"), PROTOCOL, "Content-Length"),
    ("huge length", head(b"Content-Length: 99999999999999999999"), PROTOCOL, "Content-Length"),
    ("empty length", head(b"Content-Length: "), PROTOCOL, "Content-Length"),
    ("length, then chunked", head(b"Content-Length: 5", b"Transfer-Encoding: chunked"), CODING, "contradicts"),
    ("chunked, then length", head(b"Transfer-Encoding: chunked", b"Content-Length: 5"), CODING, "contradicts"),
    ("coding foo", head(b"Transfer-Encoding: foo"), CODING, "'foo' is not understood"),
    ("gzip, chunked", head(b"Transfer-Encoding: gzip, chunked"), CODING, "'gzip, chunked' is not understood"),
    ("chunked, gzip", head(b"Transfer-Encoding: chunked, gzip"), CODING, "is not understood"),
    ("identity", head(b"Transfer-Encoding: identity", b"Content-Length: 0"), CODING, ""),
    ("chunked twice", head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), CODING, "not understood"),
    ("bad chunk size", head(b"Transfer-Encoding: chunked") + b"zz\r\nabc\r\n", CODING, "cannot be decoded"),
    ("good, then bad chunk", head(b"Transfer-Encoding: chunked") + b"3\r\nabc\r\nzz\r\n", CODING, "chunk size"),
    ("unasked 101", head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 S"), PROTOCOL, "101"),
    ("unasked 101, then bytes", head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 S") + b"\0abc",
     PROTOCOL, "101"),
    ("101 without Upgrade", head(status=b"HTTP/1.1 101 S") + b"HTTP/1.1 200 OK\r\n\r\n", PROTOCOL, "101"),
    ("200 times 103", head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints") * 200 + OK, PROTOCOL,
     "more than 100 interim responses"),
    ("HTTP/2 frames", bytes.fromhex("000000040000000000" "000008070000000000" "0000000000000001"), PROTOCOL,
     "HTTP/2 SETTINGS frame"),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PROTOCOL, "HTTP/2 connection preface"),
    ("TLS alert", bytes.fromhex("15030100020246"), PROTOCOL, "TLS alert"),
    ("TLS handshake", bytes.fromhex("160301004a02000046"), PROTOCOL, "TLS handshake"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "error", "words"), [case[1:] for case in GONE], ids=[case[0] for case in GONE])
async def test_a_peer_that_goes_before_its_head_is_whole_is_a_502(script: Script, error: str, words: str) -> None:
    async with raw_upstream(script) as upstream, running_hop(upstream.address) as hop:
        answer = read_answers(await hop.get("/x"))[-1]
        assert (answer.status, answer.line) == (502, b"HTTP/1.1 502 Bad Gateway")
        assert (answer.error, answer.problem["error"], answer.problem["decided_by"]) == (error, error, "lb")
        assert answer.members[-1].next_hop == upstream.address
        assert words in (answer.members[-1].details or "")
        record = await hop.record()
        assert (record["status"], record["generated"], record["error"], record["truncated"]) == (
            502,
            True,
            error,
            False,
        )
        (attempt,) = record["attempts"]
        assert (attempt["error"], attempt["status"], attempt["reused"]) == (error, None, False)
        assert attempt["endpoint"] == upstream.address
        assert upstream.connections == 1


@pytest.mark.parametrize(
    ("sent", "error", "words"), [case[1:] for case in UNUSABLE], ids=[case[0] for case in UNUSABLE]
)
async def test_what_is_no_http_is_a_502_at_once(sent: bytes, error: str, words: str) -> None:
    async with raw_upstream(says(sent, then="hang")) as upstream, running_hop(upstream.address) as hop:
        answer = read_answers(await hop.get("/x"))[-1]
        assert (answer.status, answer.error) == (502, error)
        assert words in (answer.members[-1].details or "")
        record = await hop.record()
        (attempt,) = record["attempts"]
        assert (attempt["phase"], attempt["error"]) == ("wait", error)
        assert attempt["first_bytes"].startswith(escape_bytes(sent[:10]))
        assert record["duration"] < 2  # the deadline of the head is 5 s


async def test_a_request_is_kept_in_its_record_where_told() -> None:
    post = b"POST /x HTTP/1.1\r\nHost: a\r\nX-A: \xe9\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address, keep_request=5) as hop:
        for body in (b"hello", b"longer than that"):
            await hop.send(post % (len(body), body))
        await hop.get()
        records = await hop.records(3)
    assert [record["request"]["body"] for record in records] == ["hello", None, ""]
    assert ["X-A", "é"] in records[0]["request"]["headers"]


@pytest.mark.parametrize(
    ("parts", "body"),
    [((b"he", b"llo"), "hello"), ((b"hel", b"lo", b"!"), None), ((b"", b"hello"), "hello")],
    ids=["in two", "too long", "behind the head"],
)
async def test_a_body_that_comes_piece_by_piece_is_kept_too(parts: tuple[bytes, ...], body: str | None) -> None:
    """As most clients send one: in another packet than the head."""

    async def reads(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        arrived.set()
        await reader.readexactly(sum(map(len, parts)))
        writer.write(OK)

    arrived = asyncio.Event()
    async with (
        raw_upstream(reads) as upstream,
        running_hop(upstream.address, keep_request=5) as hop,
        hop.client() as client,
    ):
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % sum(map(len, parts))
        await client.send(head + parts[0])
        await arrived.wait()
        for part in parts[1:]:
            await client.send(part)
        record = await hop.record()
    assert (record["status"], record["request"]["body"]) == (200, body)


async def test_a_body_that_was_refused_unseen_is_not_kept_as_an_empty_one() -> None:
    post = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    async with running_hop("127.0.0.1:9", keep_request=5, limits={"request_body": 4}) as hop:
        await hop.send(post)
        record = await hop.record()
    assert (record["status"], record["request"]["body"]) == (413, None)


async def test_no_request_is_kept_unless_told() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get()
        assert (await hop.record())["request"] is None
