from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from badgateway_proxy.errors import ERROR_TABLE, ErrorType
from badgateway_proxy.pages.error_pages import phrase, render

EVIL = "<script>alert(1)</script>\"'&"


def body(error: ErrorType = ErrorType.CONNECTION_REFUSED, **changes: Any) -> tuple[bytes, bytes]:
    facts: dict[str, Any] = {
        "hop": "lb",
        "tier": "lb",
        "request_id": "r-1",
        "details": "nobody listens on 127.0.0.1:9001",
        "accept": None,
    }
    return render(error, 502, **(facts | changes))


class Page(HTMLParser):
    """What a browser makes of a page: its tags, its text, and which station of the chain is marked."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.setdefault(tag, {}).update(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_problem_details_by_default() -> None:
    content_type, content = body(retry_after=6.01)
    assert content_type == b"application/problem+json"
    assert json.loads(content) == {
        "type": "https://www.rfc-editor.org/rfc/rfc9209#section-2.3.7",
        "title": "Bad Gateway",
        "status": 502,
        "detail": "The next hop's machine refused the connection.",
        "error": "connection_refused",
        "details": "nobody listens on 127.0.0.1:9001",
        "decided_by": "lb",
        "tier": "lb",
        "request_id": "r-1",
        "retry_after": 7,
    }


def test_plain_json_for_whoever_asks_for_that_only() -> None:
    assert body(accept="application/json")[0] == b"application/json"


def test_a_page_for_browsers() -> None:
    content_type, content = body(accept="text/html,*/*;q=0.8", retry_after=6.2)
    assert content_type == b"text/html; charset=utf-8"
    page = Page(content)
    for text in ("502", "Bad Gateway", "lb", "connection_refused", "nobody listens", "r-1", "In 7 seconds"):
        assert text in page.text
    assert page.attributes["html"]["lang"] == "en"
    assert "viewport" in content.decode()
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert b"http://" not in content
    assert b"https://" not in content


@pytest.mark.parametrize(
    ("tier", "hop", "marked"),
    [("lb", "lb", "LB"), ("cdn", "cdn-1", "CDN (cdn-1)"), ("proxy", "gate", "gate")],
)
def test_the_chain_shows_who_decided(tier: str, hop: str, marked: str) -> None:
    content = body(accept="text/html", tier=tier, hop=hop)[1].decode()
    assert content.count("aria-current=") == 1
    assert f'<li aria-current="step"><span>{marked}</span></li>' in content


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_upstream_bytes_show_in_debug_only(accept: str) -> None:
    assert b"hunter2" not in body(accept=accept, first_bytes=b"hunter2")[1]
    assert b"hunter2" in body(accept=accept, first_bytes=b"hunter2", debug=True)[1]


def test_nothing_breaks_out_of_the_page() -> None:
    content = body(
        accept="text/html",
        hop=EVIL,
        tier=EVIL,
        request_id=EVIL,
        details=EVIL,
        method=EVIL,
        first_bytes=EVIL.encode(),
        debug=True,
    )[1]
    assert "script" not in Page(content).tags
    assert b"<script" not in content


@pytest.mark.parametrize("error", list(ErrorType))
@pytest.mark.parametrize("accept", [None, "text/html"])
def test_every_error_can_be_told(error: ErrorType, accept: str | None) -> None:
    content = body(error, accept=accept, details="")[1].decode()
    told = json.loads(content)["detail"] if accept is None else Page(content.encode()).text
    assert ERROR_TABLE[error].sentence in told


def test_a_status_without_a_phrase_has_a_word() -> None:
    assert phrase(502) == "Bad Gateway"
    assert phrase(599) == "Error"


def test_phrases_are_those_of_rfc_9110_on_every_python() -> None:
    assert (phrase(413), phrase(414)) == ("Content Too Large", "URI Too Long")
