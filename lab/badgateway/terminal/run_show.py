"""How `badgateway run` looks: a line per scenario as it ends, what failed with its measurements, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import click
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from badgateway.running.results import Outcome, ScenarioResult, StepResult
from badgateway.scenario.model import Scenario
from badgateway.terminal import waterfall
from badgateway.terminal.screen import seconds
from badgateway.terminal.sending import outcome
from badgateway.wording import counted

WORDS: Final[dict[Outcome, str]] = {
    "held": "held",
    "failed": "FAILED",
    "invalid": "INVALID",
    "environment": "ENVIRONMENT",
    "skipped": "skipped",
}
STYLES: Final[dict[Outcome, str]] = {
    "held": "green",
    "failed": "bold red",
    "invalid": "bold red",
    "environment": "bold magenta",
    "skipped": "dim",
}


class RunShow(Protocol):
    """Shows a run as it goes."""

    def __enter__(self) -> RunShow: ...
    def __exit__(self, *_: object) -> None: ...
    def started(self, scenario: Scenario) -> None:
        """A scenario begins."""

    def ended(self, result: ScenarioResult) -> None:
        """It is over."""


class PlainRun:
    """Plain lines: what CI keeps in its log. `err`: on stderr, because stdout is for a report."""

    def __init__(self, *, verbose: bool, err: bool = False) -> None:
        self._verbose, self._err = verbose, err

    def __enter__(self) -> PlainRun:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, scenario: Scenario) -> None:
        """Nothing: a line when it ends is enough."""

    def ended(self, result: ScenarioResult) -> None:
        click.echo(headline(result), err=self._err)
        for line in details(result, verbose=self._verbose):
            click.echo(f"    {line}", err=self._err)


class TerminalRun:
    """A progress bar at the bottom, results scrolling above it."""

    def __init__(self, screen: Console, total: int, *, verbose: bool) -> None:
        self._verbose = verbose
        self._running: list[str] = []
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", style="dim"),
            console=screen,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("", total=total)

    def __enter__(self) -> TerminalRun:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, scenario: Scenario) -> None:
        self._running.append(scenario.id)
        self._progress.update(self._task, description=", ".join(self._running))

    def ended(self, result: ScenarioResult) -> None:
        if result.scenario.id in self._running:
            self._running.remove(result.scenario.id)
        self._progress.console.print(Text(headline(result), style=STYLES[result.outcome]), soft_wrap=True)
        for line in details(result, verbose=self._verbose):
            self._progress.console.print(Padding(Text(line), (0, 0, 0, 4)))
        self._progress.update(self._task, advance=1, description=", ".join(self._running))


def headline(result: ScenarioResult) -> str:
    """`held   502/app-crashed  0.9 s  The app crashed`."""
    scenario = result.scenario
    said = f"without {scenario.without}" if scenario.without else scenario.title
    return f"{WORDS[result.outcome]:<7} {scenario.id}  {seconds(result.duration)}  {said}"


def details(result: ScenarioResult, *, verbose: bool) -> Iterator[str]:
    """What stands below the headline: all steps if `verbose`, else only what failed; waterfalls of failed requests."""
    if verbose:
        for step in result.steps:
            yield from _step(step)
        for window in result.windows:
            yield f"{'held' if window.check.held else 'NOT HELD'} {window.window}: {window.check}"
    if result.held and result.scenario.without:
        yield from (f"as it must: {line}" for line in result.unmet[:1])
    if result.outcome == "skipped" and result.why:
        yield f"because: {result.why}"
    if result.held or result.outcome == "skipped":
        return
    yield from result.failures()
    for step in result.steps:
        if not step.held and step.seen is not None:
            yield from _seen(step)


def _step(step: StepResult) -> Iterator[str]:
    mark = "skipped" if step.skipped else "held" if step.held else "NOT HELD"
    yield f"{mark} {step.index + 1}. {step.title}  {seconds(step.duration)}"
    for check in step.checks:
        yield f"    {'held' if check.held else 'NOT HELD'} {check}"


def _seen(step: StepResult) -> Iterator[str]:
    seen = step.seen
    if seen is None:
        return
    yield f"{step.title} → {outcome(seen.answer)} in {seconds(seen.answer.elapsed)}"
    if seen.trace is not None:
        yield from (f"  {line}" for line in waterfall.lines(seen.trace, {}))


def summary(results: Sequence[ScenarioResult], elapsed: float) -> str:
    """The last line: `17 scenarios: 16 held, 1 failed, in 21.3 s`."""
    counts = Counter(result.outcome for result in results)
    parts = [f"{counts[kind]} {WORDS[kind].lower()}" for kind in WORDS if counts[kind]]
    return f"{counted(len(results), 'scenario')}: {', '.join(parts) or 'nothing run'}, in {elapsed:.1f} s"
