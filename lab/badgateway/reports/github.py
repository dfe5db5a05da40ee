"""Annotations in a pull request: GitHub's workflow commands, one for each thing that was not as it must be.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Sequence

from badgateway.reports.places import from_workspace
from badgateway.running.results import Problem, ScenarioResult


def github_annotations(results: Sequence[ScenarioResult]) -> str:
    """A line for each problem, to be written to stdout; empty if everything held."""
    return "".join(_command(result, problem) + "\n" for result in results for problem in result.problems())


def _command(result: ScenarioResult, problem: Problem) -> str:
    level = "notice" if result.outcome == "skipped" else "error"
    place = {
        "file": from_workspace(problem.file),
        "line": problem.line,
        "title": f"{result.scenario.id}: {result.outcome}",
    }
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in place.items() if value is not None)
    return f"::{level} {properties}::{_data(problem.text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def step_summary(results: Sequence[ScenarioResult]) -> str:
    """The run as Markdown, for the page of the job (the file that GITHUB_STEP_SUMMARY names)."""
    rows = [
        f"| {result.outcome} | `{result.scenario.id}` | {_cell(result.scenario.title)} | {result.duration:.2f} s |"
        for result in results
    ]
    problems = [f"- {_cell(line)}" for result in results for line in result.failures()]
    table = ["### badgateway", "", "| | scenario | what happens | took |", "| --- | --- | --- | --- |", *rows, ""]
    return "\n".join([*table, *problems, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
