"""A scenario: a file that breaks a chain on purpose and says what must come of it.

`load_scenario` reads one file and raises with everything that is wrong in it. The format is documented by
`badgateway schema`, and by the files under `scenarios/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, WithJsonSchema

from badgateway.chain.spec import ChainSpec
from badgateway.inputs.problems import InvalidInput, Problem, Where
from badgateway.inputs.validation import Finding, findings, problems_at
from badgateway.inputs.yamltext import Document, parse_yaml, read_yaml
from badgateway.scenario.chain_cause import wrong_settings
from badgateway.scenario.expectation import ONE_OR_MORE, Strict
from badgateway.scenario.names import wrong_names
from badgateway.scenario.steps import AnyStep, Moment
from badgateway.scenario.traffic import MAX_REQUESTS, Traffic, WindowExpectation

SUFFIXES = (".yaml", ".yml")

DEADLINE = 60.0
"""Seconds that a scenario's steps may take altogether."""

MOST_JUDGED = 1000
"""Requests of a scenario that expects something of alerts: a hop remembers as many."""

TRAFFIC_GRACE = 30.0
"""Seconds that a scenario may take beyond its traffic."""


def _lines(value: object) -> object:
    return [value] if isinstance(value, str) else value


Lines = Annotated[list[str], BeforeValidator(_lines), WithJsonSchema(ONE_OR_MORE)]
"""Texts; one alone needs no brackets."""


class Lesson(Strict):
    """What there is to learn: a question to ask before, an answer for after."""

    predict: str = ""
    explain: str = ""
    debug: Lines = Field(default_factory=list)
    fix: str = ""


class Scenario(Strict):
    """One scenario: steps one after the other, then traffic with its timeline, then what must have held."""

    title: str = Field(min_length=1, max_length=200)
    code: int = Field(ge=100, le=599)
    """The status that it teaches."""
    causes: list[str] = Field(default_factory=list)
    """RFC 9209 error types, faults, or words of one's own."""
    story: str = ""
    chain: ChainSpec = Field(default_factory=ChainSpec)
    chain_cause: Lines = Field(default_factory=list)
    """Paths of settings of `chain` that make it happen, such as lb.limits: without them the scenario must fail."""
    steps: list[AnyStep] = Field(default_factory=list, max_length=500)
    traffic: list[Traffic] = Field(default_factory=list, max_length=20)
    timeline: list[Moment] = Field(default_factory=list, max_length=500)
    expect: list[WindowExpectation] = Field(default_factory=list, max_length=200)
    lesson: Lesson = Field(default_factory=Lesson)

    _document: Document | None = PrivateAttr(default=None)
    _without: str = PrivateAttr(default="")
    _taken_out: frozenset[Where] = PrivateAttr(default=frozenset())

    @property
    def file(self) -> str:
        """The file it was read from, as it was named; empty if from none."""
        return self._document.file if self._document else ""

    @property
    def id(self) -> str:
        """`502/app-crashed`: the code and the file's name."""
        name = Path(self.file).stem if self.file else self.title
        return f"{self.code}/{name}"

    @property
    def written_chain(self) -> Mapping[str, Any]:
        """What differs from the default chain, as the file has it."""
        return _written_chain(self._document) if self._document else {}

    @property
    def without(self) -> str:
        """The cause that was taken out of it, in words; empty for a whole scenario."""
        return self._without

    def take_out(self, parts: Iterable[Where], what: str) -> None:
        """Leave these steps and moments out of every run: `("steps", 2)`, `("timeline", 0)`.

        `what`: everything that was taken out, in words.
        """
        self._taken_out, self._without = frozenset(parts), what

    def lacks(self, *where: str | int) -> bool:
        """Whether that step or moment was taken out."""
        return where in self._taken_out

    @property
    def deadline(self) -> float:
        """Seconds after which a run of it is given up."""
        if not self.traffic:
            return DEADLINE
        return max(DEADLINE, max(stream.end for stream in self.traffic) + TRAFFIC_GRACE)

    def position(self, *where: str | int) -> tuple[int, int]:
        """Line and column of a part of it, such as `position("steps", 2)`; (0, 0) if read from no file."""
        return self._document.mark(where) if self._document else (0, 0)


def load_scenario(path: str | Path) -> Scenario:
    """Read one scenario file. Raises InvalidInput with all of its problems."""
    return scenario_from(read_yaml(Path(path)))


def parse_scenario(text: str, *, file: str = "<text>") -> Scenario:
    """Read a scenario from text. Raises InvalidInput with all of its problems."""
    return scenario_from(parse_yaml(text, file=file))


def scenario_from(document: Document) -> Scenario:
    """The scenario that a document holds. Raises InvalidInput with all of its problems."""
    scenario: Scenario | None = None
    found: list[Finding] = []
    try:
        scenario = Scenario.model_validate(document.value)
    except ValidationError as error:
        found += findings(error, document.value, Scenario)
    found += wrong_names(document.value)
    if scenario is not None:
        found += _missing_parts(scenario, _written_chain(document))
    if found or scenario is None:
        raise InvalidInput(problems_at(found, document))
    scenario._document = document
    return scenario


def _written_chain(document: Document) -> Mapping[str, Any]:
    chain = document.value.get("chain") if isinstance(document.value, Mapping) else None
    return chain if isinstance(chain, Mapping) else {}


def _missing_parts(scenario: Scenario, chain: Mapping[str, Any]) -> list[Finding]:
    """What only shows when the parts are seen together."""
    found = []
    if not scenario.steps and not scenario.traffic:
        found.append(Finding((), "does nothing: it needs steps or traffic"))
    if scenario.timeline and not scenario.traffic:
        found.append(Finding(("timeline",), "needs traffic to run beside"))
    found += wrong_settings(chain, scenario.chain_cause)
    if scenario.traffic and all(stream.cause for stream in scenario.traffic):
        found.append(Finding(("traffic",), "has only streams that are a cause", "one must be there without it, too"))
    total = sum(stream.for_ * stream.rate.per_second for stream in scenario.traffic)
    if total > MAX_REQUESTS:
        found.append(Finding(("traffic",), f"sends more than {MAX_REQUESTS} requests altogether"))
    if total > MOST_JUDGED and any(expected.alerts for expected in scenario.expect):
        what = f"alerts are judged by the hops' records, of which each keeps {MOST_JUDGED}; this sends more requests"
        found.append(Finding(("traffic",), what))
    end = max((stream.end for stream in scenario.traffic), default=0.0)
    for index, moment in enumerate(scenario.timeline):
        if scenario.traffic and moment.at > end:
            found.append(Finding(("timeline", index, "at"), "is after the end of the traffic"))
    for index, expected in enumerate(scenario.expect):
        if scenario.traffic and expected.window.low >= end:
            key = "during" if expected.during else "after"
            found.append(Finding(("expect", index, key), "is after the end of the traffic; no request can match"))
    return found


def load_scenarios(paths: Iterable[str | Path]) -> list[Scenario]:
    """Read files and whole directories, in order. Raises InvalidInput with the problems of all the files together."""
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    for path in scenario_files(paths, problems):
        try:
            scenarios.append(load_scenario(path))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return scenarios


def scenario_files(paths: Iterable[str | Path], problems: list[Problem]) -> Sequence[Path]:
    """The scenario files among `paths`; of a directory all below it, sorted. What is not there goes to `problems`."""
    files: dict[Path, None] = {}
    for given in map(Path, paths):
        if given.is_dir():
            inside = sorted(p for p in given.rglob("*") if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                problems.append(Problem(str(given), 0, 0, "", "holds no scenario files (*.yaml)"))
            files.update(dict.fromkeys(inside))
        elif given.exists():
            files[given] = None
        else:
            problems.append(Problem(str(given), 0, 0, "", "there is no such file or directory"))
    return list(files)
