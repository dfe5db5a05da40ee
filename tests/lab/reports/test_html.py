"""The HTML report: one file that needs nothing else, in which nothing that came over the network is markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from badgateway.reports.html import html_report
from badgateway.running.answer import Answer
from badgateway.running.results import Check, ScenarioResult, Seen, StepResult
from badgateway.scenario.model import parse_scenario
from tests.support.results import ALL, failed, loaded, result
from tests.support.tracerecords import hung as trace

SHOWN = "<script>alert(1)</script><img src=x onerror=y>"
EVIL = "<script>alert('&')</script>\x00\u2028\"><img src=x onerror=y>"
VOID = {"meta", "br"}
LEFT_OPEN = {"tr", "td", "th", "li"}  # HTML lets their ends be left out


class Outline(HTMLParser):
    """Elements as they open, and whether each that must be closed is, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID | LEFT_OPEN:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in LEFT_OPEN:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def evil() -> ScenarioResult:
    lesson = {"explain": SHOWN, "fix": SHOWN, "debug": [SHOWN]}
    text = {"title": SHOWN, "story": SHOWN, "code": 502, "steps": [{"request": "GET /"}], "lesson": lesson}
    scenario = parse_scenario(json.dumps(text), file=f"{EVIL}.yaml")
    answer = Answer(status=502, reason=EVIL, headers=((EVIL, EVIL),), body=EVIL.encode(), first_bytes=EVIL.encode())
    step = StepResult(0, "request", EVIL, 3, note=EVIL, checks=[Check(EVIL, EVIL, EVIL, held=False)])
    step.seen = Seen(answer, trace())
    return ScenarioResult(scenario, outcome="failed", why=EVIL, started=1.0, steps=[step])


def test_it_is_whole_and_asks_nobody_for_anything() -> None:
    page = html_report([*ALL, loaded()])
    outline = Outline(page)
    assert (outline.open, outline.wrong) == ([], [])
    assert {tag for tag, _ in outline.tags} >= {"details", "svg", "polyline", "table"}
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in outline.tags}
    assert "url(" not in page
    assert "@import" not in page
    targets = [value for _, attrs in outline.tags for key, value in attrs.items() if key in ("src", "href")]
    assert all(str(target).startswith("#") for target in targets)


def test_nothing_that_was_received_is_markup() -> None:
    outline = Outline(html_report([evil()]))
    assert (outline.open, outline.wrong) == ([], [])
    assert not {"script", "img"} & {tag for tag, _ in outline.tags}
    assert not [attrs for _, attrs in outline.tags if "onerror" in attrs]


def test_every_square_leads_to_its_scenario() -> None:
    outline = Outline(html_report(ALL))
    ids = {attrs["id"] for tag, attrs in outline.tags if tag == "details" and "id" in attrs}
    links = [str(attrs["href"])[1:] for tag, attrs in outline.tags if tag == "a"]
    assert sorted(links) == sorted(map(str, ids))
    assert len(links) == len(ALL)


def test_what_failed_stands_open_and_says_why() -> None:
    page = html_report([result("a"), failed()])
    opened = re.findall(r'<details class="scenario" id="([^"]*)"( open)?>', page)
    assert opened == [("502-a", ""), ("502-b", " open")]
    assert "x/b.yaml:9: 1s..: p95 &lt; 1s: expected to hold, measured p95 = 2s" in page
    assert "never fired" in page


def test_what_held_says_what_was_expected_where_that_is_not_what_was_measured() -> None:
    held = [Check("status", "200", "200", held=True), Check("within", "100ms", "3ms", held=True)]
    page = html_report([result(steps=[StepResult(0, "request", "GET /", 3, checks=held)]), loaded()])
    assert ">✓ status: 200</div>" in page
    assert ">✓ within: 3ms <small>(expected 100ms)</small></div>" in page
    assert "(expected to hold)" not in page


def test_traffic_is_drawn_with_what_was_done_meanwhile() -> None:
    page = html_report([loaded()])
    assert page.count("fault hang at app, 1 s") == 2
    assert "Of each kind of answer, the slowest" in page
    assert '<i class="s504"></i>504 (10)' in page


def test_a_run_of_nothing_is_a_report_too() -> None:
    outline = Outline(html_report([]))
    assert (outline.open, outline.wrong) == ([], [])
