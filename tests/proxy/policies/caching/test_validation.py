from __future__ import annotations

from email.utils import formatdate

import pytest

from badgateway_proxy.policies.caching.validation import (
    conditions_for,
    confirms,
    in_not_modified,
    not_modified,
    updated,
)

Fields = list[tuple[bytes, bytes]]


def at(seconds: float) -> bytes:
    return formatdate(1_700_000_000 + seconds, usegmt=True).encode()


@pytest.mark.parametrize(
    ("stored", "conditions"),
    [
        ([], []),
        ([(b"etag", b'"a"')], [(b"If-None-Match", b'"a"')]),
        ([(b"ETag", b'W/"a"')], [(b"If-None-Match", b'W/"a"')]),
        ([(b"Last-Modified", at(0))], [(b"If-Modified-Since", at(0))]),
        (
            [(b"ETag", b'"a"'), (b"Last-Modified", at(0))],
            [(b"If-None-Match", b'"a"'), (b"If-Modified-Since", at(0))],
        ),
    ],
)
def test_the_origin_is_asked_by_what_it_gave(stored: Fields, conditions: Fields) -> None:
    assert conditions_for(stored) == conditions


@pytest.mark.parametrize(
    ("received", "stored", "same"),
    [
        ([], [(b"ETag", b'"a"')], True),
        ([(b"ETag", b'"a"')], [(b"ETag", b'"a"')], True),
        ([(b"ETag", b'W/"a"')], [(b"ETag", b'"a"')], True),
        ([(b"ETag", b'"b"')], [(b"ETag", b'"a"')], False),
        ([(b"ETag", b'"b"')], [(b"Last-Modified", at(0))], False),
        ([(b"Last-Modified", at(0))], [(b"Last-Modified", at(0))], True),
        ([(b"Last-Modified", at(5))], [(b"Last-Modified", at(0))], False),
    ],
)
def test_a_304_must_be_about_what_is_stored(received: Fields, stored: Fields, same: bool) -> None:
    assert confirms(received, stored) is same


def test_a_304_updates_what_is_stored_but_not_its_length() -> None:
    stored = [(b"Content-Type", b"a/b"), (b"Cache-Control", b"max-age=1"), (b"X-Old", b"1"), (b"Content-Range", b"x")]
    received = [
        (b"cache-control", b"max-age=60"),
        (b"Content-Length", b"0"),
        (b"Content-Range", b"y"),
        (b"X-New", b"1"),
        (b"X-New", b"2"),
        (b"Connection", b"close"),
        (b"X-Hop", b"1"),
    ]
    assert updated(stored, received, frozenset((b"x-hop",))) == [
        (b"Content-Type", b"a/b"),
        (b"X-Old", b"1"),
        (b"Content-Range", b"x"),
        (b"cache-control", b"max-age=60"),
        (b"X-New", b"1"),
        (b"X-New", b"2"),
    ]


TAGGED: Fields = [(b"ETag", b'"a"'), (b"Last-Modified", at(0)), (b"Date", at(100))]


@pytest.mark.parametrize(
    ("request_fields", "stored", "answer"),
    [
        ([], TAGGED, False),
        ([(b"If-None-Match", b'"a"')], TAGGED, True),
        ([(b"If-None-Match", b'W/"a"')], TAGGED, True),
        ([(b"If-None-Match", b'"b", "a"')], TAGGED, True),
        ([(b"If-None-Match", b'"b"'), (b"If-None-Match", b'"a"')], TAGGED, True),
        ([(b"If-None-Match", b'"b"')], TAGGED, False),
        ([(b"If-None-Match", b"*")], TAGGED, True),
        ([(b"If-None-Match", b'"a"')], [], False),
        ([(b"If-None-Match", b'"a, b"')], [(b"ETag", b'"a, b"')], True),
        # If-None-Match takes precedence
        ([(b"If-None-Match", b'"b"'), (b"If-Modified-Since", at(50))], TAGGED, False),
        ([(b"If-None-Match", b'"a"'), (b"If-Modified-Since", at(-50))], TAGGED, True),
        ([(b"If-Modified-Since", at(0))], TAGGED, True),
        ([(b"If-Modified-Since", at(1))], TAGGED, True),
        ([(b"If-Modified-Since", at(-1))], TAGGED, False),
        ([(b"If-Modified-Since", b"yesterday")], TAGGED, False),
        # without Last-Modified its Date counts
        ([(b"If-Modified-Since", at(100))], [(b"Date", at(100))], True),
        ([(b"If-Modified-Since", at(99))], [(b"Date", at(100))], False),
        ([(b"If-Modified-Since", at(99))], [], False),
        # not for a cache to look at
        ([(b"If-Match", b'"b"'), (b"If-Unmodified-Since", at(-50))], TAGGED, False),
    ],
)
def test_a_client_that_has_it_gets_a_304(request_fields: Fields, stored: Fields, answer: bool) -> None:
    assert not_modified(request_fields, stored, 200) is answer


@pytest.mark.parametrize("status", [404, 301, 500])
def test_only_a_success_can_be_not_modified(status: int) -> None:
    assert not not_modified([(b"If-None-Match", b'"a"')], TAGGED, status)


def test_a_304_says_no_more_than_it_must() -> None:
    stored = [*TAGGED, (b"Content-Type", b"a/b"), (b"Cache-Control", b"max-age=1"), (b"Vary", b"A"), (b"Via", b"1.1 x")]
    assert [name for name, _ in in_not_modified(stored)] == [b"ETag", b"Date", b"Cache-Control", b"Vary", b"Via"]
    assert (b"Last-Modified", at(0)) in in_not_modified(stored[1:])
