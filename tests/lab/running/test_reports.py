from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from badgateway.running.answer import Answer
from badgateway.running.observations import Observation
from badgateway.running.reports import FORMAT, json_report, junit_report
from badgateway.running.results import Check, FaultResult, ScenarioResult, Seen, StepResult, WindowResult
from badgateway.scenario.model import parse_scenario


def result(name: str = "a", code: int = 502, **more: Any) -> ScenarioResult:
    text = f"title: T <&> \u2028\ncode: {code}\nsteps: [{{request: GET /}}]"
    return ScenarioResult(parse_scenario(text, file=f"x/{name}.yaml"), started=1_763_888_888.0, duration=1.5, **more)


def failed() -> ScenarioResult:
    answer = Answer(status=200, headers=(("X-A", "\x07é"),), body=b"\x00\xff<b>", elapsed=0.1)
    step = StepResult(
        0, "request", "GET /", 3, checks=[Check("status", "502", "200\x00\ufffe\x1b", held=False)], requests=1
    )
    step.seen = Seen(answer)
    window = WindowResult(0, 9, "1s..", 5, Check("p95 < 1s", "to hold", "p95 = 2s", held=False))
    fault = FaultResult("f-1", "app", "crash", 4)
    seen = [Observation(0, 0, 0.1 * n, status=200) for n in range(1, 5)] + [Observation(0, 0, 9, failure="reset")]
    return result("b", outcome="failed", steps=[step], windows=[window], faults=[fault], observations=seen)


ALL = [
    result("a"),
    failed(),
    result("c", 504, outcome="environment", why="port taken"),
    result("d", 504, outcome="invalid", why="refused"),
    result("e", 503, outcome="skipped", why="an earlier one"),
]


def test_the_json_report_holds_everything_that_was_found_out() -> None:
    report = json.loads(json_report(ALL))
    assert report["format"] == FORMAT
    assert report["summary"] == {
        "total": 5,
        "held": 1,
        "failed": 1,
        "invalid": 1,
        "environment": 1,
        "skipped": 1,
        "duration": 1.5,
    }
    told = report["scenarios"][1]
    assert {key: told[key] for key in ("id", "code", "file", "outcome", "duration", "started")} == {
        "id": "502/b",
        "code": 502,
        "file": "x/b.yaml",
        "outcome": "failed",
        "duration": 1.5,
        "started": 1_763_888_888.0,
    }
    assert len(told["failures"]) == 3
    [step] = told["steps"]
    assert step["checks"] == [{"name": "status", "expected": "502", "measured": "200\x00\ufffe\x1b", "held": False}]
    assert (step["held"], step["answer"]["status"], step["answer"]["body"]) == (False, 200, "\x00\\xff<b>")
    assert told["expectations"][0]["check"]["measured"] == "p95 = 2s"
    assert told["faults"] == [
        {"id": "f-1", "target": "app", "kind": "crash", "line": 4, "fired": 0, "may_not_fire": False, "held": False}
    ]
    assert told["traffic"] == {
        "requests": 5,
        "statuses": {"200": 4, "reset": 1},
        "truncated": 0,
        "latency": {"p50": 0.3, "p90": 9, "p95": 9, "p99": 9, "max": 9},
    }
    assert report["scenarios"][0]["traffic"] is None


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
    assert json.loads(json_report([]))["summary"]["total"] == 0
    assert ET.fromstring(junit_report([])).get("tests") == "0"
