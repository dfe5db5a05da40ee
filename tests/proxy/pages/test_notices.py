from __future__ import annotations

import json

import pytest

from badgateway_proxy.pages.notices import login_form, login_required, maintenance


def test_maintenance_is_a_page_for_people() -> None:
    kind, page = maintenance("Bigger disks & <fun>", 1800)(503, hop="cdn", request_id="r1", accept="text/html")
    text = page.decode()
    assert kind == b"text/html; charset=utf-8"
    assert "Bigger disks &amp; &lt;fun&gt;" in text
    assert "come back in 30 minutes" in text
    assert "cdn · request r1" in text


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 second."), (89, "89 seconds"), (5400, "2 hours")])
def test_times_are_in_words(seconds: float, words: str) -> None:
    assert words in maintenance("x", seconds)(503, hop="cdn", request_id="r", accept="text/html")[1].decode()


@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_maintenance_is_a_problem_document_for_programs(accept: str | None) -> None:
    kind, body = maintenance("Bigger disks", 61.2)(503, hop="cdn", request_id="r1", accept=accept)
    assert kind == (b"application/json" if accept == "application/json" else b"application/problem+json")
    problem = json.loads(body)
    assert (problem["title"], problem["status"], problem["detail"]) == ("Service Unavailable", 503, "Bigger disks")
    assert (problem["decided_by"], problem["retry_after"]) == ("cdn", 62)


def test_a_login_link_cannot_break_out_of_its_page() -> None:
    link = '/login?next="><script>alert(1)</script>'
    for page in (login_required(link), login_form(link)):
        _, body = page(511, hop="cdn", request_id="r", accept="text/html")
        assert b"<script>" not in body
