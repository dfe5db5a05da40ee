from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.policies.caching.directives import (
    MOST_SECONDS,
    NONE,
    Directives,
    parse_cache_control,
    parse_targeted,
    request_directives,
    response_directives,
)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b""], NONE),
        ([b"max-age=60"], Directives(max_age=60)),
        ([b"MaX-aGe=60, No-StOrE"], Directives(max_age=60, no_store=True)),
        ([b'max-age="60"'], Directives(max_age=60)),
        ([b"max-age=0060"], Directives(max_age=60)),
        ([b"foo, max-age=60,,bar=1"], Directives(max_age=60)),
        ([b"max-age=60", b"s-maxage=10"], Directives(max_age=60, s_maxage=10)),
        ([b"max-age=1, max-age=60"], Directives(max_age=1)),
        ([b"max-age=60", b"max-age=1"], Directives(max_age=60)),
        # a quoted string may hold what looks like a directive
        ([b'ext="max-age=3600", max-age=1'], Directives(max_age=1)),
        ([b'max-age=1, ext="no-store, max-age=3600"'], Directives(max_age=1)),
        ([b'ext="a\\", no-store", public'], Directives(public=True)),
        # what cannot be read as freshness is stale
        ([b"max-age=-60"], Directives(max_age=0)),
        ([b"max-age='60'"], Directives(max_age=0)),
        ([b"max-age=60.5"], Directives(max_age=0)),
        ([b"max-age =60"], Directives(max_age=0)),
        ([b"max-age= 60"], Directives(max_age=0)),
        ([b"max-age"], Directives(max_age=0)),
        ([b"s-maxage=x"], Directives(s_maxage=0)),
        # other times that cannot be read are not there
        ([b"stale-if-error=x, stale-while-revalidate"], NONE),
        ([b"stale-if-error=60, stale-while-revalidate=5"], Directives(stale_if_error=60, stale_while_revalidate=5)),
        ([b"max-age=99999999999"], Directives(max_age=MOST_SECONDS)),
        ([b"max-age=" + b"9" * 400], Directives(max_age=MOST_SECONDS)),
        ([b"no-cache"], Directives(no_cache=True)),
        ([b'no-cache="A, b"'], Directives(unstored=frozenset((b"a", b"b")))),
        ([b'private="set-cookie"'], Directives(unstored=frozenset((b"set-cookie",)))),
        ([b"private"], Directives(private=True)),
        ([b"must-revalidate, proxy-revalidate, must-understand, public"],
         Directives(must_revalidate=True, proxy_revalidate=True, must_understand=True, public=True)),
        ([b"only-if-cached, min-fresh=5"], Directives(only_if_cached=True, min_fresh=5)),
        ([b"max-stale"], Directives(max_stale=float("inf"))),
        ([b"max-stale=5"], Directives(max_stale=5)),
        ([b"max-stale=x"], NONE),
    ],
)  # fmt: skip
def test_cache_control(lines: list[bytes], expected: Directives) -> None:
    assert parse_cache_control(tuple(lines)) == expected


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_any_bytes_are_read(lines: list[bytes]) -> None:
    read = parse_cache_control(tuple(lines))
    assert read.max_age is None or 0 <= read.max_age <= MOST_SECONDS


@given(st.text(alphabet='abm-x=,"\\ 0', max_size=30).map(str.encode))
def test_what_is_read_does_not_depend_on_what_follows_a_comma(line: bytes) -> None:
    if line.count(b'"') == 0:
        assert parse_cache_control((line + b", no-store",)).no_store


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"max-age=60", {b"max-age": 60}),
        (b"max-age=60, must-revalidate", {b"max-age": 60, b"must-revalidate": True}),
        (b"no-store=?1,private=?0", {b"no-store": True, b"private": False}),
        (b"a;b=1;c, d=(1 2 \"x\");y, e=:aGk=:, f=1.5, max-age=1 ", {
            b"a": True, b"d": None, b"e": None, b"f": None, b"max-age": 1}),
        (b'max-age="60"', {b"max-age": None}),
        (b"max-age=1, max-age=2", {b"max-age": 2}),  # a dictionary's last member counts
        (b"", {}),
        (b"   ", {}),
        # not valid as a whole
        (b"max-age=10000, &&&&&", None),
        (b"Max-Age=60", None),
        (b"max-age =60", None),
        (b"max-age= 60", None),
        (b"max-age=60,", None),
        (b"max-age=60 private", None),
        (b"max-age=?2", None),
        (b"a=(1 2", None),
        (b"a=(1,2)", None),
        (b"a=1.2345", None),
        (b'a="x', None),
        (b"a=1234567890123456", None),
    ],
)  # fmt: skip
def test_a_targeted_field_is_valid_as_a_whole_or_not_there(value: bytes, expected: dict[bytes, object] | None) -> None:
    assert parse_targeted(value) == expected


@given(st.text(alphabet='ab-=,;()?":1. ', max_size=25).map(str.encode))
def test_any_targeted_field_is_read_or_refused(value: bytes) -> None:
    found = parse_targeted(value)
    assert found is None or all(isinstance(key, bytes) for key in found)


TARGETED = (b"cdn-cache-control",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"Cache-Control", b"max-age=1"), (b"CDN-Cache-Control", b"max-age=60")], Directives(max_age=60)),
        ([(b"cdn-cache-control", b"no-store"), (b"Cache-Control", b"max-age=1")], Directives(no_store=True)),
        # valid and not empty counts, even if it says nothing that we know
        ([(b"CDN-Cache-Control", b"foo"), (b"Cache-Control", b"max-age=1")], NONE),
        ([(b"CDN-Cache-Control", b""), (b"Cache-Control", b"max-age=1")], Directives(max_age=1)),
        ([(b"CDN-Cache-Control", b"max-age=1, &&"), (b"Cache-Control", b"no-store")], Directives(no_store=True)),
        # of the wrong type: ignored
        ([(b"CDN-Cache-Control", b'max-age="60", private=1')], NONE),
        ([(b"CDN-Cache-Control", b"max-age=-5")], Directives(max_age=0)),
        ([(b"CDN-Cache-Control", b"max-age=1"), (b"CDN-Cache-Control", b"must-revalidate")],
         Directives(max_age=1, must_revalidate=True)),
        ([(b"Surrogate-Control", b"max-age=60")], NONE),
    ],
)  # fmt: skip
def test_a_targeted_field_counts_instead_of_cache_control(
    fields: list[tuple[bytes, bytes]], expected: Directives
) -> None:
    assert response_directives(fields, TARGETED) == expected


def test_the_first_targeted_field_of_several_counts() -> None:
    fields = [(b"CDN-Cache-Control", b"max-age=60"), (b"Own-Cache-Control", b"max-age=5")]
    assert response_directives(fields, (b"own-cache-control", b"cdn-cache-control")).max_age == 5


@pytest.mark.parametrize(
    ("fields", "no_cache"),
    [
        ([(b"Pragma", b"no-cache")], True),
        ([(b"Pragma", b"foo, No-Cache")], True),
        ([(b"Pragma", b"foo")], False),
        ([(b"Pragma", b"no-cache"), (b"Cache-Control", b"max-age=5")], False),  # RFC 9111 section 5.4
        ([(b"Cache-Control", b"no-cache")], True),
    ],
)
def test_what_a_request_says(fields: list[tuple[bytes, bytes]], no_cache: bool) -> None:
    assert request_directives(fields).no_cache is no_cache
