from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.caching.dates import parse_date

EXAMPLE = 784111777.0  # RFC 9110 section 5.6.7's


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE),
        (b"Sun Nov  6 08:49:37 1994", EXAMPLE),
        (b" Sun, 06 Nov 1994 08:49:37 GMT ", EXAMPLE),
        (b"SUN, 06 nov 1994 08:49:37 gMT", EXAMPLE),
        (b"Thursday, 18-Aug-50 02:01:18 GMT", 2544400878.0),
        (b"Tue, 30 Jun 2015 23:59:60 GMT", 1435708799.0),  # a leap second is the one before it
        (b"Thu, 18 Aug 2050 02:01:18 UTC", None),
        (b"Thu, 18 Aug 2050 02:01:18 AEST", None),
        (b"Thu, 18 Aug 50 02:01:18 GMT", None),
        (b"Thu 18 Aug 2050 02:01:18 GMT", None),
        (b"Thu, 18  Aug  2050 02:01:18 GMT", None),
        (b"Thu, 18-Aug-2050 02:01:18 GMT", None),
        (b"Thu, 18 Aug 2050 02.01.18 GMT", None),
        (b"Thu, 18 Aug 2050 2:01:18 GMT", None),
        (b"Thu, 31 Feb 2050 02:01:18 GMT", None),
        (b"Thu, 18 Aug 2050 25:01:18 GMT", None),
        (b"0", None),
        (b"-1", None),
        (b"", None),
    ],
)
def test_three_formats_and_no_other(text: bytes, seconds: float | None) -> None:
    assert parse_date(text) == seconds


@given(st.integers(0, 4102444800))
def test_what_servers_write_is_read(seconds: int) -> None:
    assert parse_date(formatdate(seconds, usegmt=True).encode()) == seconds


@given(st.binary(max_size=40))
def test_any_bytes_are_a_date_or_none(text: bytes) -> None:
    parse_date(text)
