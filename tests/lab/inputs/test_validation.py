from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from badgateway.inputs.validation import Finding, findings, known_keys, problems_at, problems_of, refusal, validated
from badgateway.inputs.yamltext import parse_yaml


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    size: int = Field(default=1, ge=1, le=5)
    colour: Literal["red", "blue"] = "red"
    union: int | list[int] = 0


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


def _inner(value: object) -> Inner:
    return validated(Inner, value)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    even: Annotated[int, AfterValidator(_even)] = 0
    many: list[Inner] = Field(default_factory=list)
    handed_on: Annotated[Any, BeforeValidator(_inner)] = None


def told(text: str) -> list[str]:
    document = parse_yaml(text, file="f")
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(document.value)
    return list(map(str, problems_at(findings(caught.value, document.value, Outer), document)))


def test_everything_is_told_at_once_in_the_order_of_the_file() -> None:
    assert told("nam: x\neven: 3\nmany:\n  - {sise: 1, size: 9}\n  - 7\n  - {union: x, colour: green}\n") == [
        'f:1:1: nam: unknown key; did you mean "name"?',
        "f:1:1: name: is required",
        "f:2:7: even: must be even",
        'f:4:6: many[0].sise: unknown key; did you mean "size"?',
        "f:4:21: many[0].size: must be at most 5, not 9",
        "f:5:5: many[1]: must be a mapping (key: value), not 7",
        'f:6:13: many[2].union: must be a whole number, not "x" or a list, not "x"',
        'f:6:24: many[2].colour: must be red or blue, not "green"',
    ]


def test_a_model_validated_inside_another_ones_validator_keeps_its_paths_and_suggestions() -> None:
    assert told("name: x\nhanded_on: {size: 0, coulor: red}\n") == [
        "f:2:19: handed_on.size: must be at least 1, not 0",
        'f:2:22: handed_on.coulor: unknown key; did you mean "colour"?',
    ]


def test_a_refusal_points_below_the_validated_value_and_into_texts() -> None:
    document = parse_yaml("a: {b: 'xyz'}", file="f")
    wrong = [Finding(("a", "b"), "is odd here", offset=1), Finding(("a", "c"), "unknown key", "why?", key=True)]
    assert list(map(str, problems_of(refusal(wrong), document))) == [
        "f:1:4: a.c: unknown key; why?",
        "f:1:10: a.b: is odd here",
    ]


def test_known_keys_are_found_through_lists_and_models() -> None:
    assert known_keys(Outer, ("many", 0)) == {"size", "colour", "union"}
    assert known_keys(Outer, ()) == {"name", "even", "many", "handed_on"}
    assert known_keys(Outer, ("name",)) == set()
    assert known_keys(None, ()) == set()
