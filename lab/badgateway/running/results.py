"""What a run of scenarios found out. Reports and the terminal are made from these, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from badgateway.running.answer import Answer
from badgateway.running.observations import Observation
from badgateway.scenario.model import Scenario

Outcome = Literal["held", "failed", "invalid", "environment", "skipped"]
"""All held; an expectation failed; the running chain refused what the scenario asked; the machine was in the way;
not run, because an earlier one failed and the run was to stop there, or because the lab at hand cannot do what it
needs."""

EXIT_CODES: Mapping[Outcome, int] = {"held": 0, "skipped": 0, "failed": 1, "invalid": 2, "environment": 3}


class TraceLike(Protocol):
    """One request through the chain, as `badgateway.chain.traces.Trace` has it."""

    @property
    def request_id(self) -> str:
        """Its X-Request-ID."""

    @property
    def hops(self) -> list[dict[str, Any]]:
        """Exchange records, outermost hop first."""

    @property
    def app(self) -> list[dict[str, Any]]:
        """Request records of the instances."""

    @property
    def firings(self) -> list[dict[str, Any]]:
        """Faults that fired for it."""

    @property
    def decided_by(self) -> str:
        """The tier that made the response."""

    @property
    def error(self) -> str | None:
        """RFC 9209 error type."""

    def to_json(self) -> dict[str, Any]:
        """The trace as plain data."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, and what was measured."""

    name: str
    """`status`, `hops.cdn.error`, or the text of an expression."""
    expected: str
    measured: str
    held: bool

    def __str__(self) -> str:
        if self.held:
            return f"{self.name}: {self.measured}"
        return f"{self.name}: expected {self.expected}, measured {self.measured}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was not as it must be, and its place: a line of the scenario's file, None for all of it."""

    file: str
    line: int | None
    text: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request of a step: the client's side, and the hops' and instances' side if it was asked for."""

    answer: Answer
    trace: TraceLike | None = None


@dataclass(slots=True)
class StepResult:
    """One step. Times in seconds, `started` since the scenario began."""

    index: int
    kind: str
    title: str
    line: int
    note: str = ""
    started: float = 0.0
    duration: float = 0.0
    checks: list[Check] = field(default_factory=list)
    requests: int = 0
    seen: Seen | None = None
    """The request shown for this step: the first that failed a check, else the first."""
    skipped: bool = False

    @property
    def held(self) -> bool:
        """Whether everything it expected was so."""
        return all(check.held for check in self.checks)


@dataclass(slots=True)
class WindowResult:
    """One expectation over the traffic (or, without traffic, over the requests of all steps)."""

    index: int
    line: int
    window: str
    requests: int
    check: Check
    low: float = 0.0
    """When the window begins, in seconds after the traffic did."""
    high: float | None = None
    """When it ends; None with the traffic."""


@dataclass(slots=True)
class FaultResult:
    """One fault that was set, and whether it proved that it happened."""

    id: str
    target: str
    kind: str
    line: int
    fired: int = 0
    may_not_fire: bool = False

    @property
    def held(self) -> bool:
        """A fault that never fired proves nothing, so its scenario fails."""
        return self.fired > 0 or self.may_not_fire


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that was done while the traffic ran. Times in seconds since the traffic began."""

    at: float
    title: str
    line: int
    until: float | None = None
    """When it was to be over by itself, as a fault is."""


@dataclass(frozen=True, slots=True)
class Example:
    """One request of the traffic, with what every hop recorded of it."""

    observation: Observation
    trace: TraceLike


@dataclass(slots=True)
class ScenarioResult:
    """One scenario's run."""

    scenario: Scenario
    outcome: Outcome = "held"
    why: str = ""
    """What went wrong beside the checks: the environment's words, a deadline."""
    started: float = 0.0
    """Epoch seconds."""
    duration: float = 0.0
    ready_after: float = 0.0
    """Seconds until the chain was up."""
    steps: list[StepResult] = field(default_factory=list)
    windows: list[WindowResult] = field(default_factory=list)
    faults: list[FaultResult] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list, repr=False)
    """Every request of the traffic."""
    moments: list[Moment] = field(default_factory=list)
    """What the timeline did."""
    examples: list[Example] = field(default_factory=list, repr=False)
    """Of each kind of answer to the traffic one that is worth a look."""

    @property
    def held(self) -> bool:
        """Whether all of it held."""
        return self.outcome == "held"

    @property
    def exit_code(self) -> int:
        """The contract's exit code for this result alone."""
        return EXIT_CODES[self.outcome]

    @property
    def unmet(self) -> list[Problem]:
        """Each expectation that did not hold."""
        file = self._file
        steps = [
            Problem(file, step.line, f"{step.title}: {check}")
            for step in self.steps
            for check in step.checks
            if not check.held
        ]
        return steps + [Problem(file, w.line, f"{w.window}: {w.check}") for w in self.windows if not w.check.held]

    def problems(self) -> list[Problem]:
        """Each thing that was not as it must be."""
        found = [] if self.scenario.without else self.unmet
        # had the run gone on, it may well have fired
        if self.outcome not in {"environment", "invalid"} and not self.scenario.without:
            unfired = [fault for fault in self.faults if not fault.held]
            found += [Problem(self._file, f.line, f"the fault {f.kind} at {f.target} never fired") for f in unfired]
        return found + ([Problem(self._file, None, self.why)] if self.why else [])

    def failures(self) -> list[str]:
        """A line for each thing that was not as it must be, with its place in the file."""
        return [str(problem) for problem in self.problems()]

    @property
    def _file(self) -> str:
        return self.scenario.file or self.scenario.id


def exit_code(results: list[ScenarioResult]) -> int:
    """The contract's exit code for a whole run: the environment outweighs what is invalid, that outweighs failures."""
    return max((result.exit_code for result in results), default=0)
