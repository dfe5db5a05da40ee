"""Charts show what was measured: heights add up, times are where they belong."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.reports.charts import LEFT, WIDTH, answers_chart, css_class, kind_of, latency_chart, windows_strip
from badgateway.running.observations import Observation
from badgateway.running.results import Check, Moment, WindowResult

TIMES = st.floats(0, 600, allow_nan=False)
SEEN = st.builds(
    lambda due, took, status, cut: Observation(due, due, due + took, status=status, truncated=cut),
    TIMES,
    st.floats(0, 30, allow_nan=False),
    st.sampled_from([200, 301, 404, 500, 502, 503, 504, 511, None]),
    st.booleans(),
)
MOMENTS = st.lists(st.builds(Moment, TIMES, st.text('a<&"é ', max_size=8), st.just(1), st.none() | TIMES), max_size=4)


def elements(svg: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(tag))


@given(seen=st.lists(SEEN, min_size=1, max_size=40), moments=MOMENTS)
def test_every_request_is_in_exactly_one_bar(seen: list[Observation], moments: list[Moment]) -> None:
    bars = [bar for bar in elements(answers_chart(seen, moments), "rect") if bar.get("class") != "span"]
    told = [re.match(r"(\d+) of", bar.findtext("title") or "") for bar in bars]
    assert sum(int(found[1]) for found in told if found) == len(seen)
    for bar in bars:
        assert float(bar.get("height") or 0) > 0
        assert LEFT <= float(bar.get("x") or 0) <= WIDTH


@given(seen=st.lists(SEEN, min_size=1, max_size=40), moments=MOMENTS)
def test_latencies_are_within_the_plot(seen: list[Observation], moments: list[Moment]) -> None:
    height = float(elements(latency_chart(seen, moments), "svg")[0].attrib["viewBox"].split()[3])
    for line in elements(latency_chart(seen, moments), "polyline"):
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert all(LEFT <= x <= WIDTH and 0 <= y <= height for x, y in points)


def test_a_slower_answer_is_drawn_higher() -> None:
    seen = [Observation(n, n, n + (0.01 if n < 5 else 1.0), status=200) for n in range(10)]
    line = next(each for each in elements(latency_chart(seen, []), "polyline") if "p50" in each.attrib["class"])
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > heights[-1]


def test_a_fault_is_marked_from_its_beginning_to_its_end() -> None:
    seen = [Observation(n / 10, n / 10, n / 10 + 0.1, status=200) for n in range(100)]
    [span] = [
        rect
        for rect in elements(answers_chart(seen, [Moment(2.5, "f", 1, 5.0)]), "rect")
        if rect.get("class") == "span"
    ]
    left, width = float(span.attrib["x"]), float(span.attrib["width"])
    plot = WIDTH - LEFT - 12
    assert left == pytest.approx(LEFT + plot * 0.25, rel=0.02)
    assert width == pytest.approx(plot * 0.25, rel=0.02)


def test_windows_are_drawn_where_they_are() -> None:
    windows = [
        WindowResult(0, 1, "0s..5s", 9, Check("a < 1", "to hold", "", held=True), 0.0, 5.0),
        WindowResult(1, 2, "5s..", 9, Check("b < 1", "to hold", "", held=False), 5.0, None),
    ]
    rects = elements(windows_strip(windows, 10.0), "rect")
    assert [rect.get("class") for rect in rects] == ["window held", "window failed"]
    ends = [float(rect.attrib["x"]) + float(rect.attrib["width"]) for rect in rects]
    assert ends[0] == pytest.approx(float(rects[1].attrib["x"]), abs=0.2)
    assert ends[1] == pytest.approx(WIDTH - 12, abs=0.2)


@pytest.mark.parametrize(
    ("seen", "kind", "css"),
    [
        (Observation(0, 0, 1, status=204), "204", "s2xx"),
        (Observation(0, 0, 1, status=504), "504", "s504"),
        (Observation(0, 0, 1, status=511), "511", "s5xx"),
        (Observation(0, 0, 1, failure="reset"), "no response", "no-response"),
        (Observation(0, 0, 1, status=200, truncated=True), "cut short", "cut-short"),
    ],
)
def test_kinds_of_answers(seen: Observation, kind: str, css: str) -> None:
    assert kind_of(seen) == kind
    assert css_class(kind) == css
