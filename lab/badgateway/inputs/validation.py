"""From pydantic's errors to sentences: what is wrong, where in the input, and what was probably meant.

`validated` builds a model and, when that fails, raises a ValidationError whose every message is already readable.
Being a ValidationError, it can be raised inside another model's validator: pydantic then puts the outer path in front,
so that one pass over a file finds everything, through models of three packages.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from badgateway.inputs.problems import Problem, Where, as_text, did_you_mean, sorted_problems
from badgateway.inputs.yamltext import Document

M = TypeVar("M", bound=BaseModel)

_TOLD = "told"


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake at a path. `key`: the key itself is wrong, not its value. `offset`: the character of the text."""

    where: Where
    what: str
    hint: str = ""
    key: bool = False
    offset: int | None = None


def refusal(findings: Iterable[Finding], title: str = "input") -> ValidationError:
    """A ValidationError that says these findings; raise it in a validator to point below the validated value."""
    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(
                type=PydanticCustomError(
                    _TOLD, "{what}", {"what": f.what, "hint": f.hint, "key": f.key, "offset": f.offset}
                ),
                loc=f.where,
                input=None,
            )
            for f in findings
        ],
    )


def validated(model: type[M], value: object) -> M:
    """`model.model_validate(value)`, with readable messages in the ValidationError it raises."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal(findings(error, value, model), model.__name__) from None


def findings(error: ValidationError, value: object, model: type[BaseModel] | None = None) -> list[Finding]:
    """What pydantic found, said plainly. `model` lets unknown keys be compared with the known ones."""
    merged: dict[tuple[Where, bool], Finding] = {}
    for detail in error.errors(include_url=False):
        found = _finding(detail, value, model)
        slot = (found.where, found.key)
        earlier = merged.get(slot)
        if earlier is None:
            merged[slot] = found
        elif found.what not in earlier.what:
            # the branches of a union each said what they would have taken
            what = f"{earlier.what} or {found.what.removeprefix('must be ')}"
            merged[slot] = Finding(found.where, what, earlier.hint or found.hint, found.key, earlier.offset)
    return list(merged.values())


def problems_of(error: ValidationError, document: Document) -> list[Problem]:
    """The error's findings as problems with positions, in the order of the file."""
    return problems_at(findings(error, document.value), document)


def problems_at(found: Iterable[Finding], document: Document) -> list[Problem]:
    """Findings as problems with positions, in the order of the file."""
    problems = []
    for finding in found:
        if finding.offset is None:
            mark = document.mark(finding.where, key=finding.key)
        else:
            mark = document.inside(finding.where, finding.offset)
        problems.append(Problem.at(document.file, mark, finding.where, finding.what, finding.hint))
    return sorted_problems(problems)


def _finding(detail: ErrorDetails, value: object, model: type[BaseModel] | None) -> Finding:
    kind, context = detail["type"], detail.get("ctx", {})
    absent = kind in {"missing", "extra_forbidden"} or detail["msg"].startswith("is required")
    where = _within(value, detail["loc"], whole=absent)
    if kind == _TOLD:
        where = _within(value, detail["loc"], whole=context["key"] or context["what"] == "is required")
        return Finding(where, context["what"], context["hint"], context["key"], context["offset"])
    if kind == "extra_forbidden" or (model and detail["msg"].startswith("unknown attribute")):
        key = str(detail["loc"][-1])
        known = known_keys(model, where[:-1]) if model else set()
        return Finding(where, "unknown key", did_you_mean(key, known), key=True)
    what, hint = _sentence(kind, context, detail)
    return Finding(where, what, hint)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(part, int) and isinstance(value, (list, tuple)) and 0 <= part < len(value)


def _within(value: Any, loc: Sequence[str | int], *, whole: bool) -> Where:
    """The part of pydantic's location that is a path in the input; the names of union branches fall out."""
    where: list[str | int] = []
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if _has(value, part):
            value = value[part]
        elif not (whole and last):
            continue
        where.append(part)
    return tuple(where)


_SENTENCES = {
    "missing": "is required",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "mapping_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "none_required": "must be left empty",
    "string_too_short": "must not be empty",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_LENGTHS = {
    "too_short": ("must have at least {} entries", "min_length"),
    "too_long": ("must have at most {} entries", "max_length"),
    "string_too_long": ("must have at most {} characters", "max_length"),
}


def _sentence(kind: str, context: Mapping[str, Any], detail: ErrorDetails) -> tuple[str, str]:
    """What to say of one of pydantic's error types (https://docs.pydantic.dev/latest/errors/validation_errors/)."""
    got = "" if kind == "missing" or isinstance(detail["input"], BaseModel) else f", not {as_text(detail['input'])}"
    if kind in _SENTENCES:
        return _SENTENCES[kind] + got, ""
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        return f"must be {word} {as_text(context[key])}{got}", ""
    if kind in _LENGTHS:
        words, key = _LENGTHS[kind]
        return words.format(context[key]), ""
    if kind == "value_error":
        return str(context["error"]), ""
    return _choice(kind, context, detail, got)


def _choice(kind: str, context: Mapping[str, Any], detail: ErrorDetails, got: str) -> tuple[str, str]:
    if kind in {"literal_error", "enum"}:
        expected = str(context["expected"]).replace("'", "")
        known = expected.replace(" or ", ", ").split(", ")
        return f"must be {expected}{got}", did_you_mean(str(detail["input"]), known) if len(known) > 12 else ""
    if kind == "union_tag_invalid":
        known = str(context["expected_tags"]).replace("'", "").split(", ")
        return f"is unknown: {as_text(context['tag'])}", did_you_mean(str(context["tag"]), known)
    message = detail["msg"]
    if message.startswith("Input should"):
        return message.replace("Input should be", "must be").replace("Input should", "must") + got, ""
    return message, ""  # another package's own words, which are readable already


def known_keys(model: type[BaseModel] | None, where: Where) -> set[str]:
    """The keys that `model` knows at a path below it; empty where that cannot be told."""
    candidates = [model] if model else []
    for part in where:
        annotations: list[object] = []
        for candidate in candidates:
            found = candidate.model_fields.get(str(part))
            if found is None:
                found = next((f for f in candidate.model_fields.values() if f.alias == part), None)
            if found is not None:
                annotations.append(found.annotation)
        if isinstance(part, str):
            candidates = [m for annotation in annotations for m in _models(annotation)]
    return {f.alias or name for candidate in candidates for name, f in candidate.model_fields.items()}


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = get_origin(annotation)
    if origin is Annotated:
        return _models(get_args(annotation)[0])
    if origin in {Union, types.UnionType, list, tuple, dict}:
        return [m for argument in get_args(annotation) for m in _models(argument)]
    return []
