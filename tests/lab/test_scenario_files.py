"""What can be said of the scenario files without running them: where they lie, what they teach, what they name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from badgateway.cli import COMMANDS
from badgateway.scenario import catalogue
from badgateway.scenario.causes import causes_of
from badgateway.scenario.expectation import Expectation
from badgateway.scenario.model import Scenario, load_scenario
from badgateway.scenario.schema import scenario_schema
from badgateway.scenario.steps import ACTIONS, PauseStep, RequestStep
from badgateway.terminal.explain import explain
from badgateway_proxy import ErrorType
from badgateway_upstream import FAULTS

ROOT = catalogue.root()
PATHS = {catalogue.id_of(path): path for path in catalogue.files(ROOT)}
SCENARIOS = {id_: load_scenario(path) for id_, path in PATHS.items()}
OWN_WORDS = {
    "unknown method",
    "unknown path",
    "quota",
    "bindings that loop",
    "negotiation set up wrong",
    "extension required",
    "maglev",
    "cache too small",
    "range request",
}
"""Causes that are neither an error type, nor a fault, nor a step: a request, or a setting, that makes it happen."""
LONGEST_PAUSE = 0.2
LONGEST_TRAFFIC = 6.0
"""Seconds. A scenario takes less than ten, on a busy machine too."""

by_id = pytest.mark.parametrize("id_", SCENARIOS)


def expectations(scenario: Scenario) -> Iterator[Expectation]:
    yield from (step.expect for step in scenario.steps if isinstance(step, RequestStep))


def test_there_are_enough_and_no_title_is_used_twice() -> None:
    assert len(SCENARIOS) >= 16
    assert Counter(scenario.title for scenario in SCENARIOS.values()).most_common(1)[0][1] == 1


@pytest.mark.parametrize("code", [502, 504])
@pytest.mark.parametrize("hop", ["lb", "cdn"])
def test_each_gateway_error_is_shown_at_each_hop(code: int, hop: str) -> None:
    shown = [
        id_
        for id_, scenario in SCENARIOS.items()
        if scenario.code == code
        for expect in expectations(scenario)
        if expect.decided_by == hop and expect.status is not None and expect.status.choices == (str(code),)
    ]
    assert shown


@by_id
def test_it_lies_in_the_directory_of_its_code(id_: str) -> None:
    assert SCENARIOS[id_].id == id_


@by_id
def test_it_has_a_story_and_a_whole_lesson(id_: str) -> None:
    scenario = SCENARIOS[id_]
    assert 2 <= len(re.findall(r"[.!?](?=\s|$)", scenario.story.strip())) <= 6
    lesson = scenario.lesson
    assert "?" in lesson.predict
    assert len(lesson.explain) > 200
    assert len(lesson.debug) >= 2
    assert lesson.fix


@by_id
def test_its_causes_are_known_words_and_name_every_error_that_it_expects(id_: str) -> None:
    scenario = SCENARIOS[id_]
    assert scenario.causes
    assert set(scenario.causes) <= {*map(str, ErrorType), *FAULTS, *ACTIONS, *OWN_WORDS}
    decided = {e.error for e in expectations(scenario) if e.decided_by != "app" or e.truncated}
    assert decided - {None, "none"} <= set(scenario.causes)


@by_id
def test_it_says_what_makes_it_happen(id_: str) -> None:
    assert causes_of(SCENARIOS[id_])


@by_id
def test_it_says_what_is_seen_at_the_hops_or_over_time(id_: str) -> None:
    scenario = SCENARIOS[id_]
    by_hop = [e for e in expectations(scenario) if e.decided_by and _looks_inside(e)]
    told = [*(w.that for w in scenario.expect), *(that for e in expectations(scenario) for that in e.that)]
    over_requests = [that for that in told if re.search(r"decided_by|instance=", str(that))]
    assert by_hop or over_requests


def _looks_inside(e: Expectation) -> bool:
    """Whether it expects something that only a hop or the app itself can tell."""
    counted = e.app_requests is not None or e.app_connections is not None
    return bool(e.hops or e.attempts or e.cache or e.endpoints or counted)


@by_id
def test_it_wastes_no_time(id_: str) -> None:
    scenario = SCENARIOS[id_]
    pauses = [step.pause for step in scenario.steps if isinstance(step, PauseStep)]
    assert sum(pauses) <= LONGEST_PAUSE  # what sockets really need; policies' time is advanced
    assert max((stream.end for stream in scenario.traffic), default=0.0) <= LONGEST_TRAFFIC


@by_id
def test_the_commands_and_names_in_its_lesson_exist(id_: str) -> None:
    scenario = SCENARIOS[id_]
    text = " ".join([*scenario.lesson.debug, scenario.lesson.fix])
    assert set(re.findall(r"\bbadgateway ([a-z]+)", text)) <= set(COMMANDS)
    assert set(re.findall(r"fault set \S+ (\w+)", text)) <= set(FAULTS)
    assert set(re.findall(r"\b[45]\d\d/[a-z0-9-]+", text)) <= set(SCENARIOS)
    assert set(re.findall(r"\berror=([a-z_]+)", text)) <= set(map(str, ErrorType))


@pytest.mark.parametrize("code", ["500", "502", "503", "504"])
def test_explain_leads_to_the_scenarios_of_a_code(code: str) -> None:
    text = str(explain(code, catalogue.entries()))
    assert all(id_ in text for id_ in SCENARIOS if id_.startswith(code))


@by_id
def test_an_editor_finds_the_schema(id_: str) -> None:
    first = PATHS[id_].read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../scenario.schema.json"


def test_the_schema_beside_the_scenarios_is_the_one_that_badgateway_prints() -> None:
    kept = json.loads((ROOT / "scenario.schema.json").read_text(encoding="utf-8"))
    assert kept == scenario_schema(), "run: badgateway schema > scenarios/scenario.schema.json"
