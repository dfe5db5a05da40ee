"""Responses fed byte by byte: what is made of one must not depend on the packets in which it comes.

What an endpoint can do over a socket is in test_exchange.py and test_reply.py.
"""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.response_reader import ResponseLimits
from tests.support.peers import OK
from tests.support.pipe import REQUEST, connection_on, loop_running_nothing

Verdict = tuple[list[tuple[int, bytes]], bytes, str | None, bool]


def verdict(packets: list[bytes], *, fin: bool, method: str = "GET") -> Verdict:
    """What becomes of a response that comes in these packets: its heads, its body, the error, whether it may go on."""
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop, method)
        heads, body = [], b""
        for packet in packets:
            connection.data_received(packet)
        if fin:
            connection.eof_received()
        with contextlib.suppress(HopError):
            while head := connection.next_head():
                heads.append((head.status, head.reason))
        body = connection.take()
        error = connection.error
        reusable = connection.reusable
        connection.connection_lost(None)
        return heads, body, None if error is None else error.error.value, reusable


def cut(data: bytes, at: list[int]) -> list[bytes]:
    points = sorted({0, len(data), *(point % (len(data) + 1) for point in at)})
    return [data[first:last] for first, last in itertools.pairwise(points)]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

RESPONSES: list[tuple[bytes, str]] = [
    (OK, "GET"),
    (b"HTTP/1.1 200 All is well\r\nA: b\r\nContent-Length: 5\r\n\r\nhello", "GET"),
    (CHUNKED + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: x\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET"),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK, "GET"),
    (b"HTTP/1.1 103 Early Hints\r\nLink: <%b>\r\n\r\n" % (b"x" * 600) * 3 + OK, "GET"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"),
    (b"HTTP/1.1 200 OK\r\n\r\n", "HEAD"),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", "GET"),
    (b"HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
    # refused
    (b"garbage and more of it, long enough to be told apart\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", "GET"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", "GET"),
    (b"HTTP/2.0 200 OK\r\n\r\nhello", "GET"),
    (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4 + OK, "GET"),
    (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 1100 + b"\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: %b\r\n" % (n, b"x" * 300) for n in range(9)) + b"\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 21 + b"\r\n", "GET"),
    (b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Len", "GET"),
    (b"", "GET"),
]


@given(st.sampled_from(RESPONSES), st.lists(st.integers(0, 3000), max_size=12))
def test_packets_do_not_change_the_verdict(response: tuple[bytes, str], at: list[int]) -> None:
    data, method = response
    assert verdict(cut(data, at), fin=True, method=method) == verdict([data], fin=True, method=method)


@pytest.mark.parametrize("response", RESPONSES)
def test_nor_does_a_packet_for_each_byte(response: tuple[bytes, str]) -> None:
    data, method = response
    drip = [data[n : n + 1] for n in range(len(data))]
    assert verdict(drip, fin=True, method=method) == verdict([data], fin=True, method=method)


@given(st.lists(st.integers(0, 3000), max_size=12))
def test_surplus_bytes_leave_the_response_whole_and_the_connection_unusable(at: list[int]) -> None:
    data = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
    assert verdict(cut(data, at), fin=False) == ([(200, b"OK")], b"ok", None, False)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5), st.booleans())
def test_no_bytes_make_it_fail_in_any_other_way(data: bytes, at: list[int], fin: bool) -> None:
    verdict(cut(data, at), fin=fin)
    verdict(cut(b"HTTP/1.1 200 OK\r\n" + data, at), fin=fin)
    verdict(cut(CHUNKED + data, at), fin=fin)
    verdict(cut(b"HTTP/1.1 101 S\r\n\r\n" + data, at), fin=fin)


# -- what it remembers ---------------------------------------------------------------------------------


def test_the_first_bytes_are_kept_and_no_more() -> None:
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop)
        connection.data_received(b"x")
        connection.data_received(b"y" * 100)
        assert connection.first_bytes == b"x" + b"y" * 63
        with pytest.raises(HopError) as caught:
            connection.next_head()
        assert caught.value.first_bytes == b"x"  # as many as there were when it was clear


def test_what_is_not_to_be_shown_is_still_looked_at() -> None:
    shown = ResponseLimits(head=2000, header=1000, headers=20, interim=3, first_bytes=0)
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop, limits=shown)
        connection.data_received(bytes.fromhex("15030100020246"))
        with pytest.raises(HopError, match="TLS alert") as caught:
            connection.next_head()
        assert caught.value.first_bytes == b""


def test_each_exchange_begins_anew() -> None:
    with loop_running_nothing() as loop:
        connection, pipe = connection_on(loop)
        for body in (b"one", b"two"):
            connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body)
            assert connection.first_bytes.endswith(body)
            assert connection.next_head() is not None
            assert connection.take() == body
            assert connection.reusable
            connection.release()
            connection.send_head(REQUEST, "GET")
        assert pipe.written == REQUEST * 3


def test_a_head_of_a_response_to_head_leaves_the_parser_ready_for_the_next() -> None:
    with loop_running_nothing() as loop:
        connection, _ = connection_on(loop, "HEAD")
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        assert connection.reusable
        connection.release()
        connection.send_head(REQUEST, "GET")
        connection.data_received(OK)
        assert connection.next_head() is not None
        assert connection.take() == b"ok"
        assert connection.reusable
