"""`badgateway run`: run scenarios, several at once, and say what held."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.lab import Lab
from badgateway.control.client import TOKEN_VARIABLE, ControlClient, connect
from badgateway.processes.forkserver import ForkServer
from badgateway.reports.github import github_annotations, step_summary
from badgateway.reports.html import html_report
from badgateway.reports.jsonreport import json_report
from badgateway.reports.junit import junit_report
from badgateway.running.labview import LabFactory
from badgateway.running.remote import RemoteLab
from badgateway.running.results import ScenarioResult, exit_code
from badgateway.running.runner import RunEvent, exception_of, run_many
from badgateway.scenario import catalogue
from badgateway.scenario.causes import counterparts
from badgateway.scenario.model import Scenario, load_scenarios
from badgateway.session.interrupts import run_until_interrupted
from badgateway.terminal.run_show import PlainRun, RunShow, TerminalRun, summary
from badgateway.terminal.screen import console, is_terminal

STDOUT = "-"


MOST_JOBS = 8
"""Scenarios at once, unless --jobs says more: each is a chain of four or five processes."""


def default_jobs() -> int:
    """How many scenarios run at once: two for each core that this process may use, as they mostly wait."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2 * cores, MOST_JOBS)


@click.command(
    epilog="""\b
Examples:
  badgateway run 502/app-crashed
  badgateway run 502 504                     every scenario of these codes
  badgateway run my-scenario.yaml scenarios/
  badgateway run --all --jobs 2 --junit report.xml
  badgateway run --all --json report.json --html report.html
  badgateway run my-scenario.yaml --without-cause   does it fail without its fault?
  badgateway run 502 --attach http://127.0.0.1:8500   in the chain that runs there
  badgateway run 504 --json - | jq .

\b
Exit codes: 0 all held · 1 an expectation failed · 2 a file is wrong (nothing was started) ·
3 environment · 130 interrupted
"""
)
@click.argument("words", metavar="[CODE|ID|FILE|DIRECTORY]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every scenario that comes with badgateway.")
@click.option("--jobs", "-j", type=click.IntRange(1, 64), help="How many at once; by default two per core, up to 8.")
@click.option(
    "--json",
    "json_to",
    is_flag=False,
    flag_value=STDOUT,
    metavar="[FILE.json]",
    help="A JSON report, on stdout or in a file (whose name ends in .json); the lines then go to stderr.",
)
@click.option("--junit", "junit_to", type=click.Path(dir_okay=False, path_type=Path), help="A JUnit XML report.")
@click.option(
    "--html", "html_to", type=click.Path(dir_okay=False, path_type=Path), help="A report for people, one file."
)
@click.option(
    "--github",
    is_flag=True,
    help="Annotate the scenarios' lines in a pull request, and add to the job's page (GitHub Actions).",
)
@click.option(
    "--without-cause",
    is_flag=True,
    help="Take out what makes each happen, all of it and each part alone; exit 1 if one holds all the same.",
)
@click.option(
    "--attach",
    metavar="URL",
    help="Run them in the chain with this control API, one after the other; it is reset before and after each.",
)
@click.option(
    "--token",
    metavar="TEXT",
    help=f"Token of that API; by default that of `badgateway up`, or {TOKEN_VARIABLE}.",
)
@click.option("--fail-fast", is_flag=True, help="Begin no more once one has failed.")
@click.option("-v", "--verbose", is_flag=True, help="Every step and what was measured, not only what failed.")
@click.pass_obj
def command(
    forkserver: ForkServer | None,
    words: tuple[str, ...],
    everything: bool,
    jobs: int | None,
    json_to: str | None,
    junit_to: Path | None,
    html_to: Path | None,
    github: bool,
    without_cause: bool,
    attach: str | None,
    token: str | None,
    fail_fast: bool,
    verbose: bool,
) -> int:
    """Run scenarios, each in a chain of its own on ephemeral ports. Exit 1 if an expectation failed.

    With --without-cause it is the other way round: each must fail then, and one that holds proves nothing.

    With --attach, what a scenario's chain differs in is patched while it runs; a scenario that needs something that
    can only be started with (instances, TLS, a DNS server, a deployment) is skipped, and says so.
    """
    control = _attached(attach, token, jobs)
    if json_to is not None and json_to != STDOUT and not json_to.endswith(".json"):
        # `run --json 502`: the word after --json is a scenario, and must never be taken for a file to write
        words, json_to = (json_to, *words), STDOUT
    _can_be_written({"--json": json_to, "--junit": junit_to, "--html": html_to})
    if not words and not everything:
        raise click.UsageError("say which: a code, an id, a file, or --all (`badgateway list` lists them)")
    scenarios = load_scenarios(catalogue.select(words) if words else catalogue.files(catalogue.root()))
    if without_cause:
        scenarios = [lacking for scenario in scenarios for lacking in counterparts(scenario)]
    started = time.monotonic()
    show = _show(len(scenarios), verbose=verbose, report_on_stdout=json_to == STDOUT)
    with show:
        factory: LabFactory = functools.partial(Lab.start, forkserver=forkserver)
        if control is not None:
            factory, jobs = functools.partial(RemoteLab.fitted, control), 1
        results = run_until_interrupted(_run(scenarios, show, jobs or default_jobs(), fail_fast, factory))
    elapsed = time.monotonic() - started
    _report(results, json_report, json_to)
    _report(results, junit_report, None if junit_to is None else str(junit_to))
    _report(results, html_report, None if html_to is None else str(html_to))
    if github:
        _tell_github(results, on_stderr=json_to == STDOUT)
    click.echo(summary(results, elapsed), err=json_to == STDOUT)
    return exit_code(results)


def _attached(url: str | None, token: str | None, jobs: int | None) -> ControlClient | None:
    if url is None:
        if token is not None:
            raise click.UsageError("--token is for --attach")
        return None
    if jobs not in (None, 1):
        raise click.UsageError("--attach runs one scenario at a time: they share one chain")
    return connect(url, token)


def _tell_github(results: list[ScenarioResult], *, on_stderr: bool) -> None:
    # the runner reads commands from both streams; stdout may be a report
    click.echo(github_annotations(results), nl=False, err=on_stderr)
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        try:
            with Path(page).open("a", encoding="utf-8") as file:
                file.write(step_summary(results))
        except OSError as error:
            raise EnvironmentProblem(f"cannot write the job's summary {page}: {error.strerror}") from None


def _show(total: int, *, verbose: bool, report_on_stdout: bool) -> RunShow:
    if is_terminal() and not report_on_stdout:
        return TerminalRun(console(), total, verbose=verbose)
    return PlainRun(verbose=verbose, err=report_on_stdout)


async def _run(
    scenarios: Sequence[Scenario], show: RunShow, jobs: int, fail_fast: bool, factory: LabFactory
) -> list[ScenarioResult]:
    def on_event(event: RunEvent) -> None:
        if event.kind == "started":
            show.started(event.scenario)
        elif event.kind == "done":
            show.ended(event.result)

    try:
        return await run_many(scenarios, factory, jobs=jobs, fail_fast=fail_fast, on_event=on_event)
    except BaseExceptionGroup as group:
        raise exception_of(group) from group


def _can_be_written(reports: Mapping[str, str | Path | None]) -> None:
    """Complain of a directory that is not there before anything runs, not after."""
    for option, target in reports.items():
        if target is not None and target != STDOUT and not (folder := Path(target).parent).is_dir():
            raise InvalidRequest(f"{option}: there is no directory {folder}")


def _report(results: list[ScenarioResult], render: Callable[[list[ScenarioResult]], str], target: str | None) -> None:
    if target is None:
        return
    text = render(results)
    if target == STDOUT:
        sys.stdout.write(text.rstrip("\n") + "\n")
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"cannot write the report {target}: {error.strerror}") from None
