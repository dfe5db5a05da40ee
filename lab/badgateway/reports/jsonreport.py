"""The report for programs: JSON with everything that was found out.

An object; `format` grows when a key changes its meaning or goes away, not when one is added:

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
       "moments": [{"at": s, "until": s | null, "title": "fault hang at app", "line": 14}],
       "traffic": {"requests": 1000, "statuses": {"200": 700, "504": 300}, "latency": {"p50": s, …}} | null,
       "examples": [{"due": s, "latency": s, "trace": {…}}]}]}

All times are seconds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, get_args

from badgateway.running.answer import Answer
from badgateway.running.measuring import percentile
from badgateway.running.observations import Observation
from badgateway.running.results import Outcome, ScenarioResult, StepResult

FORMAT: Final = 1
BODY_SHOWN: Final = 2048


def json_report(results: Sequence[ScenarioResult]) -> str:
    """The JSON report, indented, ending in a line break."""
    outcomes = Counter(result.outcome for result in results)
    report = {
        "format": FORMAT,
        "badgateway": made_by(),
        "summary": {
            "total": len(results),
            **{outcome: outcomes[outcome] for outcome in get_args(Outcome)},
            "duration": round(span(results), 3),
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
        "moments": [asdict(moment) for moment in result.moments],
        "traffic": _traffic(result.observations) if result.observations else None,
        "examples": [
            {
                "due": round(example.observation.intended, 4),
                "latency": round(example.observation.latency, 4),
                "trace": example.trace.to_json(),
            }
            for example in result.examples
        ],
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


def span(results: Sequence[ScenarioResult]) -> float:
    """From the first start to the last end."""
    ran = [result for result in results if result.started]
    if not ran:
        return 0.0
    return max(result.started + result.duration for result in ran) - min(result.started for result in ran)


def made_by() -> str:
    """The version of badgateway that made a report."""
    try:
        return version("badgateway")
    except PackageNotFoundError:
        return "unknown"
