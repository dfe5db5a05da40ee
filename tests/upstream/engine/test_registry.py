"""The registry and the specs that people write."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from badgateway_upstream import FAULTS, FaultSpec, FaultType
from badgateway_upstream.engine.registry import Script, register
from badgateway_upstream.strict import problems_of


def problems(data: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        FaultSpec.model_validate(data)
    return problems_of(caught.value)


def test_a_name_can_be_registered_once() -> None:
    with pytest.raises(ValueError, match="a fault named 'hang' already"):
        register(FAULTS["hang"])


def test_the_attributes_must_say_the_same_name() -> None:
    class Other(FaultSpec):
        kind: Literal["other"] = "other"

    fault = FaultType(
        name="another",
        category="connection",
        summary="None.",
        provokes=None,
        attributes=Other,
        effect=Script(lambda _: ["close"]),
    )
    with pytest.raises(ValueError, match="must have kind 'another'"):
        register(fault)
    assert "another" not in FAULTS


def test_a_spec_becomes_its_kind() -> None:
    spec = FaultSpec.model_validate({"kind": "latency", "latency": "300ms", "for": "10s", "when": {"path": "/"}})
    assert type(spec) is FAULTS["latency"].attributes
    assert spec.for_ == 10
    assert spec.model_dump(mode="json", exclude_none=True) == {
        "kind": "latency",
        "for": "10s",
        "when": {"path": "/"},
        "latency": "300ms",
        "jitter": "0s",
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"kind": "latensy"}, ["kind: unknown fault 'latensy'; did you mean 'latency'?"]),
        ({}, ["kind: is required: the name of a fault"]),
        ({"kind": 3}, ["kind: unknown fault 3"]),
        ({"kind": "latency", "latancy": "1s"}, ["latancy: unknown attribute 'latancy'; did you mean 'latency'?"]),
        (
            {"kind": "latency", "latency": 5, "jitter": "x", "for": "0s"},
            ["for: this duration must be longer than 0s", "latency: a duration needs a unit", "jitter: 'x' is no"],
        ),
        ({"kind": "truncate", "at": True}, ["at"]),
        ({"kind": "garbage", "bytes": "10"}, ["bytes: must be a whole number, not '10'"]),
        ({"kind": "hang", "when": {"evry": 2}}, ["when.evry: unknown attribute 'evry'; did you mean 'every'?"]),
        ({"kind": "hang", "when": []}, ["when: must be a mapping, not []"]),
        ({"kind": "hang", "id": "a b"}, ["id: "]),
        ("hang", ["must be a mapping, not 'hang'"]),
        ({"kind": "script"}, ["steps: is required"]),
        ({"kind": "script", "steps": ["close", {"send": {"x": 1}}]}, ["steps[1].send: says nothing to send"]),
        ({"kind": "latency", "{x}": 1}, ["{x}: unknown attribute '{x}'"]),
    ],
)
def test_what_is_wrong_is_said_all_at_once(data: Any, expected: list[str]) -> None:
    found = problems(data)
    assert all(any(line.startswith(start) for line in found) for start in expected), found


@pytest.mark.parametrize("kind", ["close_on_accept", "reset_on_accept"])
@pytest.mark.parametrize("condition", [{"path": "/"}, {"method": "GET"}, {"header": {"a": "b"}}, {"session": "s"}])
def test_conditions_that_cannot_be_decided_are_refused(kind: str, condition: dict[str, Any]) -> None:
    (problem,) = problems({"kind": kind, "when": condition})
    assert problem.startswith(f"{kind} acts before any request is read, so when.{next(iter(condition))}")


def test_errors_keep_their_place_inside_other_models() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[FaultSpec]).validate_python([{"kind": "hang"}, {"kind": "hang", "fro": "1s"}])
    assert problems_of(caught.value) == ["[1].fro: unknown attribute 'fro'; did you mean 'for'?"]
