"""Where a scenario puts which fault: `{target: app, kind: crash}`, checked by the registry of faults itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, ValidationError

from badgateway.chain.spec import HOPS
from badgateway.inputs.problems import as_text, did_you_mean
from badgateway.inputs.validation import Finding, findings, refusal
from badgateway.scenario.expectation import Strict
from badgateway_proxy import Duration
from badgateway_upstream import FAULTS, FaultSpec

HOP_FAULTS: Final = ("crash", "exit", "freeze")
"""What can be done to a hop: it is somebody's gateway, so only its process fails."""


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


def fault_from(value: object) -> Fault:
    """A fault from `{target, kind, …attributes, when, for, may_not_fire}`."""
    if isinstance(value, Fault):
        return value
    if not isinstance(value, Mapping):
        raise refusal([Finding((), f"must be a mapping such as {{target: app, kind: crash}}, not {as_text(value)}")])
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
        return findings(error, spec, FAULTS[kind].attributes)
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


def flat_fault(value: Mapping[str, Any]) -> dict[str, Any]:
    """`{fault: hang, target: app, for: 8s}`: the fault's parts beside its name instead of below it."""
    inner = {"kind" if key == "fault" else key: v for key, v in value.items() if key != "note"}
    try:
        fault = fault_from(inner)
    except ValidationError as error:
        found = findings(error, inner)
        renamed = [
            Finding(("fault", *f.where[1:]) if f.where[:1] == ("kind",) else f.where, f.what, f.hint, f.key)
            for f in found
        ]
        raise refusal(renamed) from None
    return {"fault": fault, **({"note": value["note"]} if "note" in value else {})}
