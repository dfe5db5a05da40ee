from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.caching.ranges import Part, Unsatisfiable, part_of

Fields = list[tuple[bytes, bytes]]
LENGTH = 11


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (b"bytes=0-1", Part(0, 2, LENGTH)),
        (b"bytes=1-", Part(1, 11, LENGTH)),
        (b"bytes=-1", Part(10, 11, LENGTH)),
        (b"bytes=-100", Part(0, 11, LENGTH)),
        (b"bytes=5-100", Part(5, 11, LENGTH)),
        (b"bytes=10-10", Part(10, 11, LENGTH)),
        (b"BYTES=0-0", Part(0, 1, LENGTH)),
        (b"bytes=11-", Unsatisfiable(LENGTH)),
        (b"bytes=99-100", Unsatisfiable(LENGTH)),
        (b"bytes=-0", Unsatisfiable(LENGTH)),
        # ignored, as the RFC allows or asks for
        (b"bytes=0-1,3-4", None),
        (b"bytes=5-4", None),
        (b"bytes=-", None),
        (b"bytes=a-b", None),
        (b"lines=0-1", None),
        (b"bytes 0-1", None),
        (b"", None),
    ],
)
def test_parts(asked: bytes, part: Part | Unsatisfiable | None) -> None:
    assert part_of([(b"Range", asked)], [], LENGTH) == part


def test_what_the_answer_says_of_its_part() -> None:
    assert Part(0, 2, LENGTH).content_range == b"bytes 0-1/11"
    assert Unsatisfiable(LENGTH).content_range == b"bytes */11"


@pytest.mark.parametrize("asked", [b"bytes=0-0", b"bytes=0-", b"bytes=-5"])
def test_nothing_has_no_parts(asked: bytes) -> None:
    assert part_of([(b"Range", asked)], [], 0) == Unsatisfiable(0)


def at(seconds: float) -> bytes:
    return formatdate(1_700_000_000 + seconds, usegmt=True).encode()


STORED: Fields = [(b"ETag", b'"a"'), (b"Last-Modified", at(0)), (b"Date", at(100))]


@pytest.mark.parametrize(
    ("condition", "stored", "partial"),
    [
        (b'"a"', STORED, True),
        (b'"b"', STORED, False),
        (b'W/"a"', [(b"ETag", b'W/"a"')], False),
        (b'"a"', [], False),
        (at(0), STORED, True),
        (at(1), STORED, False),
        (at(0), [(b"Last-Modified", at(0)), (b"Date", at(0))], False),  # a weak validator
        (at(0), [(b"Date", at(100))], False),
        (b"yesterday", STORED, False),
    ],
)
def test_if_range_must_name_what_is_stored(condition: bytes, stored: Fields, partial: bool) -> None:
    found = part_of([(b"Range", b"bytes=0-1"), (b"If-Range", condition)], stored, LENGTH)
    assert (found is not None) is partial


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_part_is_what_slicing_gives(length: int, first: int, last: int) -> None:
    body = bytes(range(length))
    found = part_of([(b"Range", b"bytes=%d-%d" % (first, last))], [], length)
    expected = body[first : last + 1]
    if isinstance(found, Part):
        assert body[found.start : found.stop] == expected != b""
    else:
        assert expected == b""
