"""Annotations that GitHub understands, one for each problem, at the scenario's line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from badgateway.reports.github import github_annotations, step_summary
from badgateway.running.results import ScenarioResult
from badgateway.scenario.model import parse_scenario
from tests.support.results import ALL, failed, result

COMMAND = re.compile(r"::(error|notice) file=[^,:]+(,line=\d+)?,title=[^,:]+::[^\n]+\n")


def test_each_problem_is_a_command_at_its_line() -> None:
    lines = github_annotations([failed()]).splitlines()
    assert lines[0].startswith("::error file=x/b.yaml,line=3,title=502/b%3A failed::GET /: status: expected 502")
    assert [line.split(",")[1] for line in lines] == ["line=3", "line=9", "line=4"]


def test_what_has_no_line_names_its_file() -> None:
    assert github_annotations([result("c", outcome="environment", why="port taken")]) == (
        "::error file=x/c.yaml,title=502/c%3A environment::port taken\n"
    )


def test_what_held_says_nothing() -> None:
    assert github_annotations([result()]) == ""


@pytest.mark.parametrize("text", ["a\nb", "100 % of\r\n::error::it", "::set-output name=x::y", "\u2028, : ,"])
def test_nothing_that_was_measured_becomes_a_command_of_its_own(text: str) -> None:
    written = github_annotations([result(outcome="failed", why=text)])
    assert COMMAND.fullmatch(written), written


def test_files_are_named_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "title: T\ncode: 502\nsteps: [{request: GET /}]"
    one = ScenarioResult(parse_scenario(text, file=str(tmp_path / "s" / "a.yaml")), outcome="failed", why="x")
    assert "file=s/a.yaml," in github_annotations([one])


def test_in_a_job_they_are_named_from_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").mkdir()
    monkeypatch.chdir(tmp_path / "s")
    text = "title: T\ncode: 502\nsteps: [{request: GET /}]"
    one = ScenarioResult(parse_scenario(text, file="a.yaml"), outcome="failed", why="x")
    assert "file=a.yaml," in github_annotations([one])
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert "file=s/a.yaml," in github_annotations([one])
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "elsewhere"))
    assert "file=a.yaml," in github_annotations([one])


def test_the_summary_is_a_table_whatever_a_title_holds() -> None:
    rows = [line for line in step_summary(ALL).splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(ALL)
    assert {row.count("|") - row.count("\\|") for row in rows} == {5}
