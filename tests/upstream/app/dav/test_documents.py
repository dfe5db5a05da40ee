"""WebDAV's documents, from hostile bytes and to bytes."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.app.dav.documents import (
    DEEPEST,
    LARGEST,
    LONGEST_ANSWER,
    MOST_ELEMENTS,
    DocumentError,
    Properties,
    Response,
    TooLongError,
    Wanted,
    binding,
    failed,
    multistatus,
    propfind,
    unbinding,
)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", Wanted("allprop")),
        (b'<propfind xmlns="DAV:"><allprop/></propfind>', Wanted("allprop")),
        (b'<D:propfind xmlns:D="DAV:"><D:propname/></D:propfind>', Wanted("propname")),
        (
            b'<propfind xmlns="DAV:"><allprop/><include><resource-id/></include></propfind>',
            Wanted("allprop", (("DAV:", "resource-id"),)),
        ),
        (
            b'<?xml version="1.0" encoding="iso-8859-1"?>'
            b'<D:propfind xmlns:D="DAV:" xmlns="urn:x"><D:prop><D:getetag/><b/><c xmlns=""/><b/></D:prop></D:propfind>',
            Wanted("prop", (("DAV:", "getetag"), ("urn:x", "b"), ("", "c"))),
        ),
    ],
)
def test_what_a_propfind_asks_for(body: bytes, wanted: Wanted) -> None:
    assert propfind(body) == wanted


def test_bind_and_unbind() -> None:
    bind = b'<B:bind xmlns:B="DAV:">\n<B:segment> bar.html </B:segment><B:href>/dav/foo</B:href></B:bind>'
    assert binding(bind) == ("bar.html", "/dav/foo")
    assert unbinding(b'<unbind xmlns="DAV:"><segment>x&amp;y</segment></unbind>') == "x&y"


BILLION_LAUGHS = b'<!DOCTYPE propfind [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><propfind>&b;</propfind>'


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (BILLION_LAUGHS, "document type"),
        (b'<!DOCTYPE p SYSTEM "file:///etc/passwd"><propfind xmlns="DAV:"/>', "document type"),
        (b'<propfind xmlns="DAV:">&nothing;</propfind>', "no XML"),
        (b"<propfind/>", "must be a DAV:propfind"),
        (b'<bind xmlns="DAV:"/>', "must be a DAV:propfind"),
        (b'<propfind xmlns="DAV:"/>', "needs one of"),
        (b'<propfind xmlns="DAV:"><prop/><prop/></propfind>', "needs one of"),
        (b"<a>", "no XML"),
        (b"\xff\xfe\x00", "no XML"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "no XML"),
        (b"x" * (LARGEST + 1), "at most"),
        (b"<a>" * (DEEPEST + 1), "deep"),
        (b"<a>" + b"<b/>" * MOST_ELEMENTS + b"</a>", "elements"),
    ],
)
def test_what_is_refused(body: bytes, word: str) -> None:
    with pytest.raises(DocumentError, match=word):
        propfind(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'<bind xmlns="DAV:"><segment>a</segment></bind>',
        b'<bind xmlns="DAV:"><segment>a</segment><segment>b</segment><href>/x</href></bind>',
        b'<bind xmlns="DAV:"><segment> </segment><href>/x</href></bind>',
        b'<bind xmlns="DAV:"><segment><b/></segment><href>/x</href></bind>',
    ],
)
def test_a_bind_that_says_too_little(body: bytes) -> None:
    with pytest.raises(DocumentError):
        binding(body)


@given(st.binary(max_size=300))
def test_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(DocumentError):
        propfind(body)


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc")), max_size=20)


@given(TEXT, TEXT.filter(lambda text: text and "}" not in text))
def test_what_is_written_can_be_read(href: str, namespace: str) -> None:
    names = (("DAV:", "getetag"), "1"), ((namespace, "b"), ""), (("", "c"), "")
    written = multistatus([Response(href, (Properties(208, names),))])
    response = ET.fromstring(written)[0]
    assert response.find("{DAV:}href").text == (href or None)  # type: ignore[union-attr]  # a missing one fails too
    assert response.find("{DAV:}propstat/{DAV:}status").text == "HTTP/1.1 208 Already Reported"  # type: ignore[union-attr]  # the same
    prop = response.find("{DAV:}propstat/{DAV:}prop")
    assert prop is not None
    assert [element.tag for element in prop][::2] == ["{DAV:}getetag", "c"]
    assert prop[1].tag == f"{{{namespace}}}b"


def test_an_answer_has_an_end() -> None:
    long = Response("/dav/", (Properties(404, ((("x" * 5000, "a"), ""),)),))
    with pytest.raises(TooLongError):
        multistatus([long] * (LONGEST_ANSWER // 5000 + 1))


def test_a_precondition_that_failed() -> None:
    assert ET.fromstring(failed("quota-not-exceeded"))[0].tag == "{DAV:}quota-not-exceeded"
