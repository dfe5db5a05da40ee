"""What scripts may change about an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from badgateway_upstream.app import answers
from badgateway_upstream.app.answers import Answer

PLAIN = Answer(200, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\n", b"hi", 2)


def test_head_is_complete() -> None:
    head = answers.head(404, 3, "text/plain", "X: y\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\nServer: badgateway-shop\r\nDate: ")
    assert head.endswith(b" GMT\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nX: y\r\n\r\n")


def test_edits() -> None:
    assert answers.with_status_line(PLAIN, b"X").head.startswith(b"X\r\nContent-Length")
    assert answers.with_version(PLAIN, b"HTTP/9").head.startswith(b"HTTP/9 200 OK\r\n")
    assert answers.with_header(PLAIN, b"C: d\r\n").head.endswith(b"A: b\r\nC: d\r\n\r\n")
    assert answers.without(PLAIN, b"content-length", b"a").head == b"HTTP/1.1 200 OK\r\n\r\n"


def test_chunked() -> None:
    chunked = answers.as_chunked(PLAIN)
    assert chunked.head == b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert chunked.body == b"2\r\nhi\r\n0\r\n\r\n"
    assert chunked.length == len(chunked.body)
    assert answers.as_chunked(chunked) is chunked


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (Answer(200, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", 0), b"0\r\n\r\n"),
        (Answer(200, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"", 0), b""),  # to HEAD
        (Answer(204, b"HTTP/1.1 204 No Content\r\n\r\n", b"", 0), b""),
    ],
)
def test_chunked_without_a_body(answer: Answer, body: bytes) -> None:
    assert answers.as_chunked(answer).body == body


async def test_a_stream_is_chunked_as_it_comes() -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b""
        yield b"d"

    chunked = answers.as_chunked(Answer(200, PLAIN.head, stream(), 4))
    assert chunked.length is None
    assert not isinstance(chunked.body, bytes)
    assert [piece async for piece in chunked.body] == [b"3\r\nabc\r\n", b"1\r\nd\r\n", b"0\r\n\r\n"]


def test_ended_by_closing() -> None:
    closing = answers.ended_by_closing(PLAIN)
    assert closing.head == b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"
    assert not closing.reusable


def test_the_phrase_for_413_is_that_of_rfc_9110_on_every_python() -> None:
    assert answers.head(413, 0, "text/plain").startswith(b"HTTP/1.1 413 Content Too Large\r\n")
