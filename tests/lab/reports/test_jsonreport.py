"""The JSON report holds everything that was found out."""

from __future__ import annotations

import json

from badgateway.reports.jsonreport import FORMAT, json_report
from tests.support.results import ALL


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


def test_a_run_of_nothing_is_a_report_too() -> None:
    assert json.loads(json_report([]))["summary"]["total"] == 0
