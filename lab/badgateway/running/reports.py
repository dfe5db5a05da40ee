"""Reports for machines: JSON with everything that was found out, and JUnit XML for CI.

The JSON report is an object; `format` grows when a key changes its meaning or goes away, not when one is added:

    {"format": 1, "badgateway": "0.1.0", "summary": {"total": 2, "held": 1, "failed": 1, …, "duration": 3.2},
     "scenarios": [{"id": "502/app-crashed", "title": …, "code": 502, "file": …, "without": "", "outcome": "held",
       "why": "", "started": epoch, "duration": s, "ready_after": s, "failures": [text],
       "steps": [{"index": 0, "kind": "request", "title": "GET /products", "line": 9, "note": "", "held": true,
         "skipped": false, "started": s, "duration": s, "requests": 1,
         "checks": [{"name": "status", "expected": "502", "measured": "502", "held": true}],
         "answer": {…} | null, "trace": {…} | null}],
       "expectations": [{"index": 0, "line": 20, "window": "6s..12s", "requests": 300, "check": {…}}],
       "faults": [{"id": "f-1", "target": "app", "kind": "crash", "line": 11, "fired": 1, "may_not_fire": false,
         "held": true}],
       "traffic": {"requests": 1000, "statuses": {"200": 700, "504": 300}, "latency": {"p50": s, …}} | null}]}

All times are seconds.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any, Final, get_args

from badgateway.running.answer import Answer
from badgateway.running.measuring import percentile
from badgateway.running.observations import Observation
from badgateway.running.results import Outcome, ScenarioResult, StepResult

FORMAT: Final = 1
BODY_SHOWN: Final = 2048

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def json_report(results: Sequence[ScenarioResult]) -> str:
    """The JSON report, indented, ending in a line break."""
    outcomes = Counter(result.outcome for result in results)
    report = {
        "format": FORMAT,
        "badgateway": _version(),
        "summary": {
            "total": len(results),
            **{outcome: outcomes[outcome] for outcome in get_args(Outcome)},
            "duration": round(_span(results), 3),
        },
        "scenarios": [_scenario(result) for result in results],
    }
    return json.dumps(report, indent=2) + "\n"


def _scenario(result: ScenarioResult) -> dict[str, Any]:
    scenario = result.scenario
    return {
        "id": scenario.id,
        "title": scenario.title,
        "code": scenario.code,
        "file": scenario.file,
        "without": scenario.without,
        "outcome": result.outcome,
        "why": result.why,
        "started": result.started,
        "duration": round(result.duration, 4),
        "ready_after": round(result.ready_after, 4),
        "failures": result.failures(),
        "steps": [_step(step) for step in result.steps],
        "expectations": [asdict(window) for window in result.windows],
        "faults": [{**asdict(fault), "held": fault.held} for fault in result.faults],
        "traffic": _traffic(result.observations) if result.observations else None,
    }


def _step(step: StepResult) -> dict[str, Any]:
    trace = step.seen.trace if step.seen else None
    return {
        "index": step.index,
        "kind": step.kind,
        "title": step.title,
        "line": step.line,
        "note": step.note,
        "held": step.held and not step.skipped,
        "skipped": step.skipped,
        "started": round(step.started, 4),
        "duration": round(step.duration, 4),
        "requests": step.requests,
        "checks": [asdict(check) for check in step.checks],
        "answer": _answer(step.seen.answer) if step.seen else None,
        "trace": trace.to_json() if trace else None,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "request_id": answer.request_id,
        "status": answer.status,
        "reason": answer.reason,
        "headers": [list(header) for header in answer.headers],
        "body": answer.body[:BODY_SHOWN].decode("utf-8", "backslashreplace"),
        "body_bytes": answer.body_bytes,
        "elapsed": round(answer.elapsed, 4),
        "decided_by": answer.decided_by,
        "error": answer.error,
        "failure": answer.failure,
        "truncated": answer.truncated,
        "end": answer.end,
        "details": answer.details,
        "interim": [interim.status for interim in answer.interim],
    }


def _traffic(observations: Sequence[Observation]) -> dict[str, Any]:
    statuses = Counter(str(o.status) if o.status is not None else str(o.failure) for o in observations)
    latencies = sorted(o.latency for o in observations)
    ranks = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    return {
        "requests": len(observations),
        "statuses": dict(sorted(statuses.items())),
        "truncated": sum(o.truncated for o in observations),
        "latency": {name: round(percentile(latencies, rank), 4) for name, rank in ranks.items()},
    }


def junit_report(results: Sequence[ScenarioResult]) -> str:
    """JUnit XML: a test suite for each status code, a test case for each scenario.

    A failed expectation is a `failure`; a scenario that the chain refused or the environment prevented, an `error`.
    """
    root = ET.Element("testsuites", {"name": "badgateway", **_counts(results)})
    ordered = sorted(results, key=lambda result: result.scenario.code)
    for code, group in groupby(ordered, key=lambda result: result.scenario.code):
        members = list(group)
        began = [result.started for result in members if result.started]
        stamp = datetime.fromtimestamp(min(began), UTC).strftime("%Y-%m-%dT%H:%M:%S") if began else ""
        suite = ET.SubElement(root, "testsuite", {"name": str(code), "timestamp": stamp, **_counts(members)})
        for result in members:
            suite.append(_case(result))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _counts(results: Sequence[ScenarioResult]) -> dict[str, str]:
    outcomes = Counter(result.outcome for result in results)
    return {
        "tests": str(len(results)),
        "failures": str(outcomes["failed"]),
        "errors": str(outcomes["invalid"] + outcomes["environment"]),
        "skipped": str(outcomes["skipped"]),
        "time": f"{sum(result.duration for result in results):.3f}",
    }


def _case(result: ScenarioResult) -> ET.Element:
    code, _, name = result.scenario.id.partition("/")
    name += f" without {result.scenario.without}" if result.scenario.without else ""
    case = ET.Element(
        "testcase",
        classname=f"badgateway.{code}",
        name=_xml(name),
        file=_xml(_from_here(result.scenario.file)),
        time=f"{result.duration:.3f}",
    )
    lines = [_xml(line) for line in result.failures()]
    if result.outcome == "skipped":
        ET.SubElement(case, "skipped", message=_xml(result.why))
    elif not result.held:
        kind = "failure" if result.outcome == "failed" else "error"
        problem = ET.SubElement(case, kind, type=result.outcome, message=lines[0] if lines else result.outcome)
        problem.text = "\n".join(lines)
    output = ET.SubElement(case, "system-out")
    output.text = _xml("\n".join(_told(result)))
    return case


def _told(result: ScenarioResult) -> list[str]:
    lines = [result.scenario.title]
    for step in result.steps:
        mark = "skipped" if step.skipped else ("held" if step.held else "FAILED")
        lines.append(f"{step.started:.3f}s {mark} {step.title} ({step.duration:.3f}s)")
        lines += [f"    {check}" for check in step.checks]
    lines += [f"{window.window} {window.check} ({window.requests} requests)" for window in result.windows]
    lines += [f"fault {fault.kind} at {fault.target}: fired {fault.fired} times" for fault in result.faults]
    return lines


def _from_here(file: str) -> str:
    """A path below the working directory relative to it, as CI wants it for annotations; any other as it is."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold (section 2.2); each shows as an escape."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _span(results: Sequence[ScenarioResult]) -> float:
    """From the first start to the last end."""
    ran = [result for result in results if result.started]
    if not ran:
        return 0.0
    return max(result.started + result.duration for result in ran) - min(result.started for result in ran)


def _version() -> str:
    try:
        return version("badgateway")
    except PackageNotFoundError:
        return "unknown"
