"""Choosing among variants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.app.negotiation import (
    MOST_VARIANTS,
    TypeMapError,
    Variant,
    alternates,
    choose,
    form,
    variants_of,
)

EN = Variant("m.en.html", "text/html", "en")
DE = Variant("m.de.html", "text/html", "de-at", 0.9)
TXT = Variant("m.txt", "text/plain", "", 0.5)
ALL = (EN, DE, TXT)

MAP = """\
URI: m.en.html
Content-Type: text/html
Content-Language: en

uri: m.de.html
content-type: text/html; charset=utf-8; qs=0.9
content-language: de-AT\r
\r
URI: m.txt
Content-Type: text/plain;qs=0.5
"""


def test_a_type_map() -> None:
    assert variants_of(MAP) == ALL


@pytest.mark.parametrize(
    "text",
    [
        "", "\n\n", "URI", "Content-Type: text/html", "URI: ../x", "URI: http://a/b", "URI: a\nURI: b",
        "URI: a\nContent-Type: html", "URI: a\nContent-Type: a/b; qs=2", "URI: a\nContent-Type: a/b; qs=x",
        "URI: a\nContent-Language: e_n", "URI: a\n\n" * (MOST_VARIANTS + 1), f"URI: {'a' * 200}\n\n" * 21, 'URI: a"b',
    ],
)  # fmt: skip
def test_what_is_no_type_map(text: str) -> None:
    with pytest.raises(TypeMapError):
        variants_of(text)


@pytest.mark.parametrize(
    ("accept", "language", "chosen"),
    [
        (None, None, EN),
        (None, "de", DE),
        (None, "de-AT", DE),
        (None, "de-CH", TXT),
        (None, "DE;q=0.9, en;q=0.8", DE),
        (None, "de;q=0.8, en;q=0.9", EN),
        (None, "de, en;q=0.89", DE),
        (None, "*", EN),
        (None, "fr", TXT),
        ("text/html", "fr", None),
        ("text/plain", None, TXT),
        ("text/*;q=0.5, text/html;q=0.1", None, TXT),
        ("*/*;q=0.1, text/plain", None, TXT),
        ("image/png", None, None),
        ("", None, None),
        ("text/html;q=nonsense, text/plain;q=0.3", None, TXT),
    ],
)
def test_the_best_for_a_client(accept: str | None, language: str | None, chosen: Variant | None) -> None:
    assert choose(ALL, accept, language) == chosen


@pytest.mark.parametrize(
    ("negotiate", "expected"),
    [(None, "choice"), ("*", "choice"), ("1.0, *", "choice"), ("vlist", "list"), ("trans", "list"), ("1.0", "list"),
     ("guess-small", "list"), ("", "list")],
)  # fmt: skip
def test_who_lets_the_server_choose(negotiate: str | None, expected: str) -> None:
    assert form(negotiate) == expected


def test_the_list_as_a_field() -> None:
    assert alternates(ALL) == (
        '{"m.en.html" 1 {type text/html} {language en}}, {"m.de.html" 0.9 {type text/html} {language de-at}}, '
        '{"m.txt" 0.5 {type text/plain}}'
    )


@given(st.text(max_size=60), st.text(max_size=40), st.text(max_size=40))
def test_anything_is_read_or_refused(text: str, accept: str, language: str) -> None:
    assert choose(ALL, accept, language) in (*ALL, None)
    try:
        variants = variants_of(text)
    except TypeMapError:
        return
    assert "\n" not in alternates(variants)
