"""The JUnit report is XML, whatever a server sent."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from badgateway.reports.junit import junit_report
from badgateway.running.results import ScenarioResult
from badgateway.scenario.model import parse_scenario
from tests.support.results import ALL, result


def test_the_junit_report_is_xml_whatever_a_server_sent() -> None:
    root = ET.fromstring(junit_report(ALL))
    assert root.attrib == {
        "name": "badgateway",
        "tests": "5",
        "failures": "1",
        "errors": "2",
        "skipped": "1",
        "time": "7.500",
    }
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [("502", "2"), ("503", "1"), ("504", "2")]
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases["b"].get("classname") == "badgateway.502"
    assert cases["b"].get("file") == "x/b.yaml"
    problem = cases["b"].find("failure")
    assert problem is not None
    assert problem.get("message") == "x/b.yaml:3: GET /: status: expected 502, measured 200\\x00\\ufffe\\x1b"
    assert (problem.text or "").count("\n") == 2
    assert [cases[name][0].tag for name in "acde"] == ["system-out", "error", "error", "skipped"]
    assert cases["c"][0].get("message") == "x/c.yaml: port taken"


@pytest.mark.parametrize(
    ("file", "shown"),
    [("{here}/x/b.yaml", "x/b.yaml"), ("/elsewhere/b.yaml", "/elsewhere/b.yaml"), ("b.yaml", "b.yaml")],
)
def test_the_junit_report_names_files_from_the_working_directory(
    file: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scenario = parse_scenario("title: T\ncode: 502\nsteps: [{request: GET /}]", file=file.format(here=tmp_path))
    one = ScenarioResult(scenario, started=1.0, duration=1.0)
    [case] = ET.fromstring(junit_report([one])).iter("testcase")
    assert case.get("file") == shown


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85, 0xD7FF, 0xE000, 0xFFFE, 0xFFFF, 0x10000, 0x10FFFF])
def test_no_character_breaks_the_xml(code: int) -> None:
    report = junit_report([result(outcome="failed", why=f"a{chr(code)}b")])
    [problem] = ET.fromstring(report).iter("failure")
    assert "a" in (problem.text or "")
    assert "b" in (problem.text or "")


def test_a_run_of_nothing_is_a_report_too() -> None:
    assert ET.fromstring(junit_report([])).get("tests") == "0"
