"""Paths and names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.app.dav.paths import (
    LONGEST_SEGMENT,
    PathError,
    Segments,
    href_of,
    mounted,
    name_of,
    segments_of,
    source_of,
)


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/dav", ()),
        ("/dav/", ()),
        ("/dav/a", ("a",)),
        ("/dav/a/", ("a",)),
        ("/dav/a%20b/%C3%A4.txt", ("a b", "ä.txt")),
    ],
)
def test_paths(path: str, segments: Segments) -> None:
    assert mounted(path)
    assert segments_of(path) == segments


@pytest.mark.parametrize(
    "path",
    [
        "/davs", "/dav//", "/dav//a", "/dav/a//b", "/dav/.", "/dav/../x", "/dav/%2e%2e/x", "/dav/a%2Fb", "/dav/%00",
        "/dav/%ff", "/dav/a%0Ab", "/dav/" + "a" * (LONGEST_SEGMENT + 1), "/dav/ä",
    ],
)  # fmt: skip
def test_paths_that_name_nothing(path: str) -> None:
    with pytest.raises(PathError):
        segments_of(path)


@given(st.lists(st.text(min_size=1, max_size=10)), st.booleans())
def test_an_href_leads_back(names: list[str], collection: bool) -> None:
    segments = tuple(names)
    href = href_of(segments, collection=collection)
    assert href.isascii()
    try:
        assert segments_of(href) == segments
    except PathError:
        assert any(not name.isprintable() or name in (".", "..") or "/" in name for name in names)


def test_a_segment_is_one_name() -> None:
    assert name_of("a%20b") == "a b"
    for wrong in ("a/b", "", "..", "a%2fb"):
        with pytest.raises(PathError):
            name_of(wrong)


@pytest.mark.parametrize(
    ("href", "source"),
    [
        ("/dav/a/", ("a",)),
        ("http://shop.example/dav/a", ("a",)),
        ("HTTP://SHOP.example/dav", ()),
        ("http://elsewhere.example/dav/a", None),
    ],
)
def test_where_an_href_leads(href: str, source: Segments | None) -> None:
    assert source_of(href, "shop.example") == source


@pytest.mark.parametrize("href", ["/products/1", "a/b", "http://shop.example/x", "http://[", ""])
def test_an_href_that_leads_nowhere(href: str) -> None:
    with pytest.raises(PathError):
        source_of(href, "shop.example")
