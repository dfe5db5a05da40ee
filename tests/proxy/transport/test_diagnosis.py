"""What a peer's bytes were: words for what no parser can read, from the first of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.errors import ERROR_TABLE, ErrorType
from badgateway_proxy.transport.diagnosis import closed_early, diagnose, other_protocol
from badgateway_proxy.transport.proxy_status import member, parse_proxy_status

SPOKEN: list[tuple[bytes, str | None]] = [
    (bytes.fromhex("15030100020246"), "a TLS alert (does the peer expect TLS on this port?)"),
    (bytes.fromhex("1603010100"), "a TLS handshake"),
    (bytes.fromhex("1503"), "a TLS alert (does the peer expect TLS on this port?)"),
    (bytes.fromhex("15"), None),
    (bytes.fromhex("150a"), None),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the HTTP/2 connection preface"),
    (bytes.fromhex("000000040000000000"), "an HTTP/2 SETTINGS frame"),
    (bytes.fromhex("000008070000000000"), "an HTTP/2 GOAWAY frame"),
    (bytes.fromhex("00000004000000"), None),
    (bytes.fromhex("000000010000000000"), None),
    (b"SSH-2.0-OpenSSH", None),
    (b"HTTP/1.1 200 OK", None),
    (b"", None),
]


@pytest.mark.parametrize(("first", "words"), SPOKEN)
def test_another_protocol_is_called_by_its_name(first: bytes, words: str | None) -> None:
    assert other_protocol(first) == words
    kind, details = diagnose("whatever llhttp said", first, head_done=False)
    assert kind is ErrorType.HTTP_PROTOCOL_ERROR
    if words is not None:
        assert details == f"not an HTTP/1 response: {words}"


def test_words_of_the_parser_are_kept_where_it_is_http() -> None:
    assert diagnose("Duplicate Content-Length", b"HTTP/1.1 200 OK", head_done=False) == (
        ErrorType.HTTP_PROTOCOL_ERROR,
        "malformed response: Duplicate Content-Length",
    )


def test_a_broken_body_is_a_broken_coding() -> None:
    kind, details = diagnose("Invalid character in chunk size", b"HTTP/1.1 200 OK", head_done=True)
    assert kind is ErrorType.HTTP_RESPONSE_TRANSFER_CODING
    assert details == "the body cannot be decoded: Invalid character in chunk size"


@pytest.mark.parametrize("reason", ["Transfer-Encoding can't be present with Content-Length"])
def test_a_head_that_contradicts_itself_is_one_too(reason: str) -> None:
    kind, details = diagnose(reason, b"HTTP/1.1 200 OK", head_done=False)
    assert kind is ErrorType.HTTP_RESPONSE_TRANSFER_CODING
    assert "contradicts itself" in details


@given(st.text(max_size=50), st.binary(max_size=40), st.booleans())
def test_there_is_always_a_type_and_a_sentence_for_the_header(reason: str, first: bytes, head_done: bool) -> None:
    kind, details = diagnose(reason, first, head_done=head_done)
    assert ERROR_TABLE[kind].status == 502
    (read,) = parse_proxy_status(member("lb", error=kind.value, details=details))
    assert read.error == kind.value


EARLY: list[tuple[dict[str, object], ErrorType, str]] = [
    ({}, ErrorType.CONNECTION_TERMINATED, "the peer closed the connection before it sent a byte of its response"),
    ({"reset": True}, ErrorType.CONNECTION_TERMINATED, "the peer reset the connection before"),
    ({"reused": True}, ErrorType.CONNECTION_TERMINATED, "closed the connection on a reused connection before"),
    ({"received": 7}, ErrorType.HTTP_RESPONSE_INCOMPLETE, "in the response head (7 bytes)"),
    (
        {"received": 99, "head_done": True, "expected": 50, "body_received": 7},
        ErrorType.HTTP_RESPONSE_INCOMPLETE,
        "in the body (7 of 50 bytes)",
    ),
    (
        {"received": 99, "head_done": True, "body_received": 7},
        ErrorType.HTTP_RESPONSE_INCOMPLETE,
        "in the body (7 bytes, no last chunk)",
    ),
]


@pytest.mark.parametrize(("facts", "kind", "words"), EARLY)
def test_an_early_end_is_told_by_how_far_it_got(facts: dict[str, object], kind: ErrorType, words: str) -> None:
    known = {"received": 0, "head_done": False, "reset": False, "reused": False, "expected": None, "body_received": 0}
    found, details = closed_early(**known | facts)  # type: ignore[arg-type]  # a table of mixed values
    assert found is kind
    assert words in details
