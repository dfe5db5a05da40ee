"""The commands that need no running chain, and `run`, as processes: exit codes, reports, output without a terminal."""

import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clitools import Cli
from tests.support.processes import wait_until

HOLDS = """
title: The app was killed
code: 502
causes: [connection_refused]
steps:
  - request: GET /products
    expect: {status: 200}
  - fault: {target: app, kind: crash}
  - request: GET /products
    expect: {status: 502, decided_by: lb, error: connection_refused}
"""
FAILS = HOLDS.replace("status: 502, decided_by: lb", "status: 504, decided_by: lb")
SLOW = """
title: It takes its time
code: 504
steps: [{pause: 5s}, {request: GET /products, expect: {status: 200}}]
"""
WRONG = "title: Wrong\ncode: 502\nstepps: []\nsteps: [{request: GET /, expect: {statuss: 200}}]\n"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    for name, text in (("holds", HOLDS), ("fails", FAILS), ("slow", SLOW), ("wrong", WRONG)):
        (tmp_path / f"{name}.yaml").write_text(text)
    yield cli
    cli.kill_all()


def test_a_scenario_that_holds_is_0_and_one_that_does_not_is_1(cli: Cli, tmp_path: Path) -> None:
    report, junit = tmp_path / "report.json", tmp_path / "junit.xml"
    holds, fails = str(tmp_path / "holds.yaml"), str(tmp_path / "fails.yaml")
    status, ran = cli.run("run", holds, "--json", str(report))
    assert status == 0, ran.text
    assert ran.lines[0].startswith("held    502/holds  ")
    assert ran.lines[-1].startswith("1 scenario: 1 held, in ")
    assert json.loads(report.read_text())["summary"]["held"] == 1

    status, ran = cli.run("run", holds, fails, "--junit", str(junit))
    assert status == 1
    assert any(f"{fails}:9: GET /products: status: expected 504, measured 502" in line for line in ran.lines), ran.text
    assert any("connection_refused in connect" in line for line in ran.lines), ran.text
    assert ET.fromstring(junit.read_text()).get("failures") == "1"
    assert "\x1b" not in ran.text
    assert cli.leftovers() == []


def test_reports_for_people_and_for_github(cli: Cli, tmp_path: Path) -> None:
    page, summary = tmp_path / "report.html", tmp_path / "summary.md"
    cli.env["GITHUB_STEP_SUMMARY"] = str(summary)
    status, ran = cli.run("run", str(tmp_path / "fails.yaml"), "--html", str(page), "--github")
    assert status == 1
    [command] = [line for line in ran.lines if line.startswith("::")]
    assert re.match(r"::error file=[^,]*fails\.yaml,line=9,title=502/fails%3A failed::GET /products: status", command)
    assert "expected 504, measured 502" in page.read_text()
    assert "cdn → lb" in page.read_text()
    assert "| failed | `502/fails` |" in summary.read_text()


def test_a_report_on_stdout_is_nothing_but_the_report(cli: Cli, tmp_path: Path) -> None:
    status, ran = cli.run("run", str(tmp_path / "holds.yaml"), "--json")
    assert status == 0
    assert json.loads("\n".join(ran.lines))["summary"]["total"] == 1
    assert ran.errors[-1].startswith("1 scenario: 1 held")


def test_the_word_behind_json_is_a_scenario_and_never_overwritten(cli: Cli, tmp_path: Path) -> None:
    status, ran = cli.run("run", "--json", str(tmp_path / "holds.yaml"))
    assert status == 0, ran.text
    assert (tmp_path / "holds.yaml").read_text() == HOLDS


def test_a_report_that_cannot_be_written_is_told_before_anything_runs(cli: Cli, tmp_path: Path) -> None:
    for option in ("--junit", "--html"):
        status, ran = cli.run("run", "502/app-crashed", option, str(tmp_path / "missing" / "report"))
        assert (status, ran.lines) == (2, []), ran.text
        assert ran.errors == [f"badgateway: {option}: there is no directory {tmp_path / 'missing'}"]


def test_fail_fast_begins_no_more(cli: Cli, tmp_path: Path) -> None:
    status, ran = cli.run("run", str(tmp_path / "fails.yaml"), str(tmp_path / "holds.yaml"), "--fail-fast", "-j1")
    assert status == 1
    assert ran.lines[-1].startswith("2 scenarios: 1 failed, 1 skipped")


def test_wrong_files_are_told_all_at_once_and_nothing_is_started(cli: Cli, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    for command in ("run", "validate"):
        status, ran = cli.run(command, str(wrong), str(tmp_path / "holds.yaml"))
        assert status == 2, ran.text
        assert ran.lines == []
        assert ran.errors[0].startswith(f"{wrong}:3:1: stepps: unknown key")
        assert ran.errors[1].startswith(f"{wrong}:4:")
        assert "statuss" in ran.errors[1]
        assert cli.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_closes_every_chain_and_says_130(cli: Cli, tmp_path: Path, number: signal.Signals) -> None:
    ran = cli.start("run", str(tmp_path / "slow.yaml"), str(tmp_path / "holds.yaml"), "-j2")
    ran.until("held    502/holds")
    ran.send(number)
    assert ran.wait() == 130, ran.text
    assert "Traceback" not in ran.text
    assert cli.leftovers() == []


def test_killed_it_leaves_no_process(cli: Cli, tmp_path: Path) -> None:
    ran = cli.start("run", str(tmp_path / "slow.yaml"), str(tmp_path / "holds.yaml"), "-j2")
    ran.until("held    502/holds")
    ran.send(signal.SIGKILL)
    ran.wait()
    wait_until(lambda: not cli.processes(), what=str(cli.processes()))


def test_the_catalogue_is_listed_shown_and_valid(cli: Cli) -> None:
    status, ran = cli.run("list", "--json")
    entries = json.loads("\n".join(ran.lines))
    assert status == 0
    assert {"502", "503", "504"} <= {entry["id"].partition("/")[0] for entry in entries}
    _, ran = cli.run("list")
    listed = [line.split()[0] for line in ran.lines if line.startswith("  ")]
    assert sorted(listed) == sorted(entry["id"] for entry in entries)
    _, ran = cli.run("list", "504")
    assert ran.lines[0] == "504 Gateway Timeout"
    assert all(line.startswith("  504/") for line in ran.lines[1:])

    status, ran = cli.run("show", entries[0]["id"])
    assert status == 0
    assert ran.lines[0].startswith(f"{entries[0]['id']}: {entries[0]['title']}")
    makes = "what makes it happen (badgateway run --without-cause takes it out)"
    for part in ("story", "steps", makes, "lesson: explain"):
        assert part in ran.lines
    _, ran = cli.run("show", entries[0]["id"], "--yaml")
    assert "\n".join(ran.lines) + "\n" == Path(entries[0]["path"]).read_text()

    status, ran = cli.run("validate")
    assert (status, ran.lines) == (0, [f"{len(entries)} scenarios are valid"])


def test_show_wants_one_scenario(cli: Cli) -> None:
    status, ran = cli.run("show", "502")
    assert status == 2
    assert "names" in ran.errors[0]


def test_the_schema_is_json(cli: Cli) -> None:
    status, ran = cli.run("schema")
    assert status == 0
    assert "properties" in json.loads("\n".join(ran.lines))


def test_fault_kinds_are_listed_and_described_without_a_chain(cli: Cli) -> None:
    status, ran = cli.run("fault", "kinds")
    assert status == 0
    assert any(line.startswith("process     crash") for line in ran.lines)
    _, ran = cli.run("fault", "kinds", "latency")
    assert ran.lines[0].startswith("latency (flow): ")
    assert any("jitter: " in line for line in ran.lines)


@pytest.mark.parametrize("args", ["explain 502", "list", "fault kinds", "schema", "--help"])
def test_a_reader_that_leaves_is_no_error_worth_words(cli: Cli, args: str) -> None:
    command = ["sh", "-c", f'"$0" -m badgateway {args} | head -c 1', sys.executable]
    ran = subprocess.run(command, env=cli.env, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stderr == ""
