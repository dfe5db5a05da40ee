"""The report that CI servers read: JUnit XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from badgateway.reports.places import from_here
from badgateway.running.results import ScenarioResult
from badgateway.wording import counted

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
        file=_xml(from_here(result.scenario.file)),
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
    lines += [f"{window.window} {window.check} ({counted(window.requests, 'request')})" for window in result.windows]
    lines += [f"fault {fault.kind} at {fault.target}: fired {counted(fault.fired, 'time')}" for fault in result.faults]
    return lines


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold (section 2.2); each shows as an escape."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
