"""What makes a scenario happen, and the scenario with it taken out: a scenario that still holds then proves nothing.

Its causes are every fault that it sets and every process that it stops, and whatever else it marks: a step or a
stream of traffic with `cause: true`, parts of a request with `cause: headers`, settings with `chain_cause`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from badgateway.chain.errors import InvalidRequest
from badgateway.chain.spec import ChainSpec
from badgateway.inputs.problems import Where
from badgateway.scenario.chain_cause import without_settings
from badgateway.scenario.model import Scenario
from badgateway.scenario.request import Request, part_names
from badgateway.scenario.steps import FaultStep, PauseStep, RequestStep, Step, StopStep, step_title


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that can be taken out of a scenario: where it is in the document, and what it is, for a person."""

    where: Where
    title: str


def causes_of(scenario: Scenario) -> tuple[Cause, ...]:
    """Everything that is a cause, in the order of the file's parts: chain, steps, traffic, timeline."""
    found = [Cause(("chain", *path.split(".")), f"chain.{path}") for path in scenario.chain_cause]
    for index, step in enumerate(scenario.steps):
        found += _of_step(("steps", index), step)
    for index, stream in enumerate(scenario.traffic):
        if stream.cause:
            found.append(Cause(("traffic", index), f"traffic of {stream.rate.text} to {stream.path}"))
    for index, moment in enumerate(scenario.timeline):
        found += _of_step(("timeline", index), moment.action)
    return tuple(Cause(cause.where, _placed(cause, scenario)) for cause in found)


def _placed(cause: Cause, scenario: Scenario) -> str:
    """Its title and its line, as a scenario may set the same fault twice."""
    line = scenario.position(*cause.where)[0]
    return f"{cause.title} (line {line})" if line else cause.title


def _of_step(where: Where, step: Step) -> Iterator[Cause]:
    if isinstance(step, RequestStep):
        yield from (Cause((*where, "request", part), f"{part} of {step_title(step)}") for part in step.cause)
    elif isinstance(step, FaultStep | StopStep) or (not isinstance(step, PauseStep) and step.cause):
        yield Cause(where, step_title(step))


def without(scenario: Scenario, causes: Sequence[Cause]) -> Scenario:
    """The scenario with these causes taken out. All else stays: what it patches, what it sends, what it expects.

    The runner says that it holds when one of its expectations failed.
    """
    gone = [cause.where for cause in causes]
    settings = [".".join(map(str, where[1:])) for where in gone if where[0] == "chain"]
    chain = ChainSpec.model_validate(without_settings(scenario.written_chain, settings)) if settings else scenario.chain
    left = scenario.model_copy(
        update={
            "chain": chain,
            "steps": [_sent_without(step, _parts(gone, index)) for index, step in enumerate(scenario.steps)],
            "traffic": [s for index, s in enumerate(scenario.traffic) if ("traffic", index) not in gone],
        }
    )
    whole_steps = [where for where in gone if len(where) == 2 and where[0] in {"steps", "timeline"}]
    left.take_out(whole_steps, " and ".join(cause.title for cause in causes))
    return left


def _parts(gone: Iterable[Where], index: int) -> list[str]:
    return [str(where[3]) for where in gone if where[:3] == ("steps", index, "request")]


def _sent_without(step: Step, parts: list[str]) -> Step:
    """A request step whose request has these parts as a request has them by default."""
    if not parts or not isinstance(step, RequestStep):
        return step
    fields = part_names()
    kept = step.request.model_fields_set - {fields[part] for part in parts}
    values = {name: getattr(step.request, name) for name in kept}
    return step.model_copy(update={"request": Request.model_construct(**values)})


def counterparts(scenario: Scenario) -> list[Scenario]:
    """The scenario without its cause; if it has several, without all of them and without each alone.

    A part of a scenario that holds without its own cause shows as little as a whole one.

    Raises:
        InvalidRequest: it has no cause.
    """
    causes = causes_of(scenario)
    if not causes:
        raise InvalidRequest(
            f"{scenario.file or scenario.id}: has no cause that could be taken out; mark what makes it happen with "
            "cause: true, or chain_cause (docs/scenarios.md)"
        )
    several = [[cause] for cause in causes] if len(causes) > 1 else []
    return [without(scenario, chosen) for chosen in ([*causes], *several)]
