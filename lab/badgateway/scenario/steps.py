"""The steps of a scenario. Each is a mapping with one key that says what it does: `{request: GET /products}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, assert_never

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from badgateway.chain.spec import HOPS, wrong_deployment, wrong_patch
from badgateway.inputs.problems import as_text, did_you_mean
from badgateway.inputs.validation import Finding, findings, refusal, validated
from badgateway.scenario.expectation import ONE_OR_MORE, Expectation, Strict, one_or_list
from badgateway.scenario.placement import Fault, fault_from, flat_fault
from badgateway.scenario.request import Request, part_names
from badgateway_proxy import Duration, format_duration, parse_duration

LONGEST_PAUSE: Final = 5.0
"""Seconds. Policies' time is advanced, not waited for; a pause is for what sockets really need."""

MOST_RECORDED: Final = 200
"""Requests of one step whose exchange records are read: a hop keeps 1000, and each takes a question to every node."""

BreakerAction = Literal["force_open", "force_closed", "reset", "disable"]


def _short_pause(seconds: float) -> float:
    if seconds > LONGEST_PAUSE:
        raise ValueError("a pause is at most 5s; let policies' time pass with advance")
    return seconds


class Noted(Strict):
    """What every step may have: a note to the reader."""

    note: str = ""


class Marked(Noted):
    """A step that can be what the scenario is about, as every fault and every stop is."""

    cause: bool = False
    """This step makes the scenario happen, so that without it the scenario must fail."""


class RequestStep(Noted):
    """Send a request (or several), and check what came of it."""

    request: Request
    expect: Expectation = Field(default_factory=Expectation)
    cause: Annotated[list[str], BeforeValidator(one_or_list), WithJsonSchema(ONE_OR_MORE)] = Field(default_factory=list)
    """Parts of the request that make the scenario happen, such as headers: sent without them, the scenario must
    fail."""

    @model_validator(mode="after")
    def _written_parts(self) -> RequestStep:
        parts = part_names()
        sent = [part for part, name in parts.items() if name in self.request.model_fields_set]
        found = [
            Finding(("cause", index), f"this request has no {as_text(part)} of its own", did_you_mean(part, sent))
            for index, part in enumerate(self.cause)
            if part not in sent
        ]
        if found:
            raise refusal(found)
        return self

    @model_validator(mode="after")
    def _recorded(self) -> RequestStep:
        if self.expect.is_about_records and self.request.times > MOST_RECORDED:
            what = f"attempts, hops and first_bytes can be expected of at most {MOST_RECORDED} requests"
            raise refusal([Finding(("request", "times"), what)])
        return self


class FaultStep(Noted):
    """Set a fault."""

    fault: Annotated[Fault, PlainValidator(fault_from)]


class ClearStep(Marked):
    """Clear faults: `all`, those of a kind, or those at a target."""

    clear: str


class AdvanceStep(Marked):
    """Let the lab's clock run ahead, at once."""

    advance: Duration


class RestartStep(Marked):
    """Start a process anew, on its old port, and wait until it is ready. `app` is every instance."""

    restart: str


class StopStep(Noted):
    """Stop a process in good order, as a deployment does."""

    stop: str


class PatchStep(Marked):
    """Change hops' configuration while they run: `{lb: {timeouts: {first_byte: 1s}}}`."""

    patch: dict[str, dict[str, Any]] = Field(min_length=1)

    @field_validator("patch")
    @classmethod
    def _accepted(cls, patch: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        found = [
            Finding((hop, *f.where), f.what, f.hint, f.key)
            for hop, change in patch.items()
            if hop in HOPS
            for f in wrong_patch(hop, change)
        ]
        if found:
            raise refusal(found)
        return patch


class DeployStep(Marked):
    """Restart instances with other settings, as a deployment does, one after the other: `{app-1: {debug: true}}`.

    The settings are those of the chain with these on top; a restart has the chain's again. It is done when each is
    ready, and ends at the first that does not start.
    """

    deploy: dict[str, dict[str, Any]] = Field(min_length=1, max_length=1)
    may_not_start: bool = False
    """That an instance does not start with these settings is no failure of the environment, but what is shown."""

    @field_validator("deploy")
    @classmethod
    def _accepted(cls, deploy: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        found = [
            Finding((target, *f.where), f.what, f.hint, f.key)
            for target, settings in deploy.items()
            for f in wrong_deployment(settings)
        ]
        if found:
            raise refusal(found)
        return deploy


class BreakerStep(Marked):
    """Act on hops' breakers: `{lb: force_open}`."""

    breaker: dict[str, BreakerAction] = Field(min_length=1)


def _purge(value: object) -> object:
    if value == "all":
        return {"all": True}
    if isinstance(value, str) and value.startswith(("/", "http://", "https://")):
        return {"url": value}
    if isinstance(value, Mapping) and value.keys() == {"tag"} and isinstance(value["tag"], str):
        return dict(value)
    raise ValueError(f"must be all, a path such as /products, or {{tag: shop}}, not {as_text(value)}")


_PURGE_SCHEMA: Final = {
    "anyOf": [
        {"type": "string", "examples": ["all", "/products"]},
        {"type": "object", "properties": {"tag": {"type": "string"}}, "required": ["tag"]},
    ]
}


class PurgeStep(Marked):
    """Let hops' caches forget a URL, a tag, or everything: `{cdn: /products}`, `{cdn: {tag: shop}}`, `{cdn: all}`."""

    purge: dict[str, Annotated[dict[str, Any], BeforeValidator(_purge), WithJsonSchema(_PURGE_SCHEMA)]] = Field(
        min_length=1
    )


class PauseStep(Noted):
    """Let real time pass, up to 5 s."""

    pause: Annotated[Duration, AfterValidator(_short_pause)]


Action = FaultStep | ClearStep | AdvanceStep | RestartStep | StopStep | DeployStep | PatchStep | BreakerStep | PurgeStep
"""What a timeline can do, too."""

Step = RequestStep | Action | PauseStep

ACTIONS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "fault": FaultStep,
        "clear": ClearStep,
        "advance": AdvanceStep,
        "restart": RestartStep,
        "stop": StopStep,
        "deploy": DeployStep,
        "patch": PatchStep,
        "breaker": BreakerStep,
        "purge": PurgeStep,
    }
)
STEPS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType({"request": RequestStep, **ACTIONS, "pause": PauseStep})


def step_kind(step: Step) -> str:
    """The key that says what a step does: `request`, `fault`, …"""
    return next(kind for kind, model in STEPS.items() if isinstance(step, model))


def step_title(step: Step) -> str:  # noqa: C901, PLR0911 — one line for each kind of step
    """A step in a few words: `GET /products`, `fault crash at app`."""
    match step:
        case RequestStep(request=request):
            times = f" ×{request.times}" if request.times > 1 else ""
            entry = f" at {request.to}" if request.to != "cdn" else ""
            return f"{request}{entry}{times}"
        case FaultStep(fault=fault):
            return f"fault {fault.kind} at {fault.target}"
        case ClearStep(clear=what):
            return f"clear {what}"
        case AdvanceStep(advance=seconds):
            return f"advance {format_duration(seconds)}"
        case RestartStep(restart=target):
            return f"restart {target}"
        case StopStep(stop=target):
            return f"stop {target}"
        case DeployStep(deploy=deploy):
            return ", ".join(f"deploy {target} with {' and '.join(what)}" for target, what in deploy.items())
        case PatchStep(patch=patch):
            return f"patch {', '.join(patch)}"
        case BreakerStep(breaker=actions):
            return ", ".join(f"breaker of {hop}: {what}" for hop, what in actions.items())
        case PurgeStep(purge=purge):
            return ", ".join(f"purge {next(iter(what.values()))} of {hop}" for hop, what in purge.items())
        case PauseStep(pause=seconds):
            return f"pause {format_duration(seconds)}"
        case _:
            assert_never(step)


def _step(value: object, kinds: Mapping[str, type[BaseModel]]) -> object:
    if not isinstance(value, Mapping):
        raise refusal([Finding((), f"must be a mapping such as {{request: GET /products}}, not {as_text(value)}")])
    named = [key for key in value if key in kinds]
    if len(named) > 1:
        raise ValueError(f"a step does one thing; this one has {' and '.join(named)}")
    if not named:
        known = (*kinds, "note", "expect", "cause")
        unknown = [_unknown(key, kinds, known) for key in value if key not in known]
        raise refusal(unknown or [Finding((), "does nothing", f"a step has one of: {', '.join(kinds)}")])
    kind = named[0]
    if kind != "request" and "expect" in value:
        raise refusal([Finding(("expect",), "only a request can expect something", key=True)])
    if kind == "fault" and isinstance(value["fault"], str):
        value = flat_fault(value)
    return validated(kinds[kind], value)


def _unknown(key: str, kinds: Mapping[str, type[BaseModel]], known: Iterable[str]) -> Finding:
    if key in STEPS:
        return Finding((key,), "is no step for a timeline", f"it can have: {', '.join(kinds)}", key=True)
    return Finding((key,), "unknown key", did_you_mean(key, known), key=True)


def _any_step(value: object) -> object:
    return _step(value, STEPS)


AnyStep = Annotated[Step, PlainValidator(_any_step)]


def _is_action(value: object) -> object:
    if isinstance(value, tuple(ACTIONS.values())):
        return value
    raise ValueError("is no action")


class Moment(Strict):
    """One entry of a timeline: what happens, and when after the traffic began."""

    at: Duration
    action: Annotated[Action, PlainValidator(_is_action)]

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, Mapping) or isinstance(value.get("action"), Noted):
            return value
        rest = {key: v for key, v in value.items() if key != "at"}
        found: list[Finding] = []
        action: object = None
        if "at" not in value:
            found.append(Finding(("at",), "is required"))
        else:
            try:
                parse_duration(value["at"])
            except ValueError as error:
                found.append(Finding(("at",), str(error)))
        try:
            action = _step(rest, ACTIONS)
        except ValidationError as error:
            found += findings(error, value)
        except ValueError as error:
            found.append(Finding((), str(error)))
        if found:
            raise refusal(found)
        return {"at": value["at"], "action": action}
