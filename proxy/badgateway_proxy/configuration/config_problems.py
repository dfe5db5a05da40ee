"""What is wrong with a configuration: where, what, and what was probably meant. All of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong: ``path`` is dotted (``timeouts.first_byte``), empty for the whole."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" if self.path else self.what


class ConfigError(ValueError):
    """A configuration that cannot be used; ``problems`` are all that is wrong with it."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class ImmutableFieldError(ConfigError):
    """A live change of something that only a restart can change."""


# Pydantic's words, where plainer ones help more. Its own message stands for every type not named here.
_WORDS: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "model_type": "must be a mapping of settings",
    "model_attributes_type": "must be a mapping of settings",
    "dict_type": "must be a mapping of settings",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[ConfigProblem]:
    """Return pydantic's errors in the words of a configuration file, with "did you mean" for unknown keys."""
    problems: list[ConfigProblem] = []
    for item in error.errors(include_url=False, include_context=True):
        if item["type"] == "too_short" and item["input"]:
            continue  # a list whose items are all wrong also counts as empty: the items are named already
        location = tuple(_keys(item["loc"], model, unknown_last=item["type"] == "extra_forbidden"))
        problem = ConfigProblem(_dotted(location), _words(item, location, model))
        if problem not in problems:
            problems.append(problem)
    return problems


def _words(item: Any, location: Sequence[str | int], model: type[BaseModel]) -> str:
    match item["type"]:
        case "extra_forbidden":
            words = _unknown(location, model)
        case "missing":
            words = f"is missing. {_description(location, model)}".rstrip()
        case "value_error":
            words = str(item["ctx"]["error"])
        case "literal_error":
            words = _not_one_of(item["ctx"]["expected"], item["input"])
        case "union_tag_invalid":
            words = "type " + _not_one_of(item["ctx"]["expected_tags"], item["ctx"]["tag"])
        case kind if kind in _WORDS:
            words = _WORDS[kind]
        case _:
            words = item["msg"][:1].lower() + item["msg"][1:]
    return words


def _unknown(location: Sequence[str | int], model: type[BaseModel]) -> str:
    sections = _sections_at(model, location[:-1])
    known = dict.fromkeys(key for section in sections for key in section.model_fields)
    return f"unknown setting; {hint(str(location[-1]), known)}"


def hint(given: str, known: Iterable[str]) -> str:
    """What was probably meant by ``given``, or what there is."""
    choices = list(known)
    close = difflib.get_close_matches(given, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there is {', '.join(choices)}"


def _not_one_of(expected: str, given: object) -> str:
    choices = expected.replace(" or ", ", ").replace("'", "").split(", ")
    close = difflib.get_close_matches(str(given), choices, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"must be {' or '.join(choices)}, not {given!r}{hint}"


def _keys(location: Sequence[str | int], model: type[BaseModel], *, unknown_last: bool) -> Iterator[str | int]:
    """Pydantic's location without the steps that are no keys: tags and members of unions."""
    candidates: tuple[type[BaseModel], ...] = (model,)
    last = len(location) - 1
    for index, step in enumerate(location):
        fields = [candidate.model_fields[step] for candidate in candidates if step in candidate.model_fields]
        if fields:
            candidates = tuple(found for field in fields for found in _models_in(field.annotation))
        if fields or isinstance(step, int) or (unknown_last and index == last):
            yield step


def _description(location: Sequence[str | int], model: type[BaseModel]) -> str:
    for candidate in _sections_at(model, location[:-1]):
        field = candidate.model_fields.get(str(location[-1]))
        if field is not None:
            return " ".join((field.description or "").split())
    return ""


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _sections_at(model: type[BaseModel], location: Sequence[str | int]) -> tuple[type[BaseModel], ...]:
    """The models that may stand at ``location``: several where a union does."""
    candidates: tuple[type[BaseModel], ...] = (model,)
    for step in location:
        fields = [candidate.model_fields[step] for candidate in candidates if step in candidate.model_fields]
        candidates = tuple(found for field in fields for found in _models_in(field.annotation))
    return candidates


def _dotted(location: Sequence[str | int]) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
