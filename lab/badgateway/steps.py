"""The steps of a scenario. Each is a mapping with one key that says what it does: `{request: GET /products}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    JsonValue,
    PlainValidator,
    ValidationError,
    model_validator,
)

from badgateway.chain import HOPS
from badgateway.expectation import Expectation, Strict
from badgateway.problems import as_text, did_you_mean
from badgateway.validation import Finding, findings, refusal, validated
from badgateway_proxy import Duration, parse_duration
from badgateway_upstream import FAULTS, FaultSpec

HOP_FAULTS: Final = ("crash", "exit", "freeze")
"""What can be done to a hop: it is somebody's gateway, so only its process fails."""

LONGEST_PAUSE: Final = 5.0
"""Seconds. Policies' time is advanced, not waited for; a pause is for what sockets really need."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[\x21-\x7e]+")

BreakerAction = Literal["force_open", "force_closed", "reset", "disable"]


def _method(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{as_text(value)} is no HTTP method")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or not _TARGET.fullmatch(value):
        raise ValueError(f"a path starts with / and has no spaces, unlike {as_text(value)}")
    return value


Method = Annotated[str, AfterValidator(_method)]
RequestPath = Annotated[str, AfterValidator(_path)]


class Request(Strict):
    """What to send, and where: `GET /products`, or a mapping."""

    method: Method = "GET"
    path: RequestPath = "/"
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    json_body: JsonValue = Field(default=None, alias="json")
    """Sent as the body, as application/json."""
    to: str = "cdn"
    """Where the request enters: cdn, lb, or an instance such as app-1."""
    timeout: Duration = 30.0
    """The client's own patience."""
    times: int = Field(default=1, ge=1, le=10_000)
    concurrency: int = Field(default=1, ge=1, le=1_000)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        method, _, path = value.strip().partition(" ")
        if not path or not _TOKEN.fullmatch(method):
            raise ValueError(f"write a request as GET /products, unlike {as_text(value)}")
        return {"method": method, "path": path.strip()}

    @model_validator(mode="after")
    def _sendable(self) -> Request:
        if self.body is not None and self.json_body is not None:
            raise ValueError("has both body and json; one request has one body")
        for name, text in self.headers.items():
            if not _TOKEN.fullmatch(name) or not all(c == "\t" or c.isprintable() for c in text):
                raise refusal([Finding(("headers", name), "is no header that can be sent", key=True)])
        return self

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Fault(Strict):
    """A fault at a target. `spec` is what `Lab.set_fault` takes: kind, attributes, when, for."""

    target: str
    spec: dict[str, Any]
    may_not_fire: bool = False
    """A scenario fails when its fault never fired, unless this says that it need not."""

    @property
    def kind(self) -> str:
        """Name of the fault."""
        return str(self.spec["kind"])


class _Placement(Strict):
    target: str
    kind: str
    may_not_fire: bool = False


def _fault(value: object) -> Fault:
    """A fault from `{target, kind, …attributes, when, for, may_not_fire}`."""
    if isinstance(value, Fault):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping such as {{target: app, kind: crash}}, not {as_text(value)}")
    own = {key: v for key, v in value.items() if key in _Placement.model_fields}
    spec = {key: v for key, v in value.items() if key not in ("target", "may_not_fire")}
    found: list[Finding] = []
    try:
        _Placement.model_validate(own)
    except ValidationError as error:
        found += findings(error, own, _Placement)
    if isinstance(spec.get("kind"), str):
        found += _wrong_on_hop(spec) if value.get("target") in HOPS else _wrong_fault(spec)
    if found:
        raise refusal(found)
    return Fault(target=own["target"], spec=spec, may_not_fire=own.get("may_not_fire", False))


def _wrong_fault(spec: Mapping[str, Any]) -> list[Finding]:
    kind = spec["kind"]
    if kind not in FAULTS:
        return [Finding(("kind",), f"unknown fault {as_text(kind)}", did_you_mean(kind, FAULTS))]
    try:
        FaultSpec.model_validate(spec)
    except ValidationError as error:
        return findings(error, spec, FaultSpec)
    return []


class _HopFault(Strict):
    kind: str
    for_: Duration | None = Field(default=None, alias="for")


def _wrong_on_hop(spec: Mapping[str, Any]) -> list[Finding]:
    if spec["kind"] not in HOP_FAULTS:
        what = f"{as_text(spec['kind'])} is no fault of a hop"
        return [Finding(("kind",), what, f"a hop's faults: {', '.join(HOP_FAULTS)}")]
    try:
        _HopFault.model_validate(spec)
    except ValidationError as error:
        return findings(error, spec, _HopFault)
    return []


def _short_pause(seconds: float) -> float:
    if seconds > LONGEST_PAUSE:
        raise ValueError("a pause is at most 5s; let policies' time pass with advance")
    return seconds


class Noted(Strict):
    """What every step may have: a note to the reader."""

    note: str = ""


class RequestStep(Noted):
    """Send a request (or several), and check what came of it."""

    request: Request
    expect: Expectation = Field(default_factory=Expectation)


class FaultStep(Noted):
    """Set a fault."""

    fault: Annotated[Fault, PlainValidator(_fault)]


class ClearStep(Noted):
    """Clear faults: `all`, those of a kind, or those at a target."""

    clear: str


class AdvanceStep(Noted):
    """Let the lab's clock run ahead, at once."""

    advance: Duration


class RestartStep(Noted):
    """Start a process anew, on its old port, and wait until it is ready. `app` is every instance."""

    restart: str


class StopStep(Noted):
    """Stop a process in good order, as a deployment does."""

    stop: str


class PatchStep(Noted):
    """Change hops' configuration while they run: `{lb: {timeouts: {first_byte: 1s}}}`."""

    patch: dict[str, dict[str, Any]] = Field(min_length=1)


class BreakerStep(Noted):
    """Act on hops' breakers: `{lb: force_open}`."""

    breaker: dict[str, BreakerAction] = Field(min_length=1)


class PauseStep(Noted):
    """Let real time pass, up to 5 s."""

    pause: Annotated[Duration, AfterValidator(_short_pause)]


Action = FaultStep | ClearStep | AdvanceStep | RestartStep | StopStep | PatchStep | BreakerStep
"""What a timeline can do, too."""

Step = RequestStep | Action | PauseStep

ACTIONS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "fault": FaultStep,
        "clear": ClearStep,
        "advance": AdvanceStep,
        "restart": RestartStep,
        "stop": StopStep,
        "patch": PatchStep,
        "breaker": BreakerStep,
    }
)
STEPS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {"request": RequestStep, **ACTIONS, "pause": PauseStep}
)


def step_kind(step: Step) -> str:
    """The key that says what a step does: `request`, `fault`, …"""
    return next(kind for kind, model in STEPS.items() if isinstance(step, model))


def _step(value: object, kinds: Mapping[str, type[BaseModel]]) -> object:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping such as {{request: GET /products}}, not {as_text(value)}")
    named = [key for key in value if key in kinds]
    if len(named) > 1:
        raise ValueError(f"a step does one thing; this one has {' and '.join(named)}")
    if not named:
        known = (*kinds, "note", "expect")
        unknown = [
            Finding((k,), "unknown key", did_you_mean(k, known), key=True) for k in value if k not in known
        ]
        raise refusal(unknown or [Finding((), "does nothing", f"a step has one of: {', '.join(kinds)}")])
    kind = named[0]
    if kind == "fault" and isinstance(value["fault"], str):
        value = _flat_fault(value)
    if kind != "request" and "expect" in value:
        raise refusal([Finding(("expect",), "only a request can expect something", key=True)])
    return validated(kinds[kind], value)


def _flat_fault(value: Mapping[str, Any]) -> dict[str, Any]:
    """`{fault: hang, target: app, for: 8s}`: the fault's parts beside its name instead of below it."""
    inner = {"kind" if key == "fault" else key: v for key, v in value.items() if key != "note"}
    try:
        fault = _fault(inner)
    except ValidationError as error:
        found = findings(error, inner)
        renamed = [
            Finding(("fault", *f.where[1:]) if f.where[:1] == ("kind",) else f.where, f.what, f.hint, f.key)
            for f in found
        ]
        raise refusal(renamed) from None
    return {"fault": fault, **({"note": value["note"]} if "note" in value else {})}


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
        if not isinstance(value, Mapping) or "action" in value:
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
