"""The base of every model that people write: unknown names and wrong types are refused in words that help.

Pydantic says "Extra inputs are not permitted"; who misspelt ``latancy`` is better served by a suggestion.
Because the suggestion is made where the model is validated, everyone who validates our models gets it.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` or, when nothing is near, the list of what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names)}" if names else "nothing is known here"


def refusal(title: str, location: tuple[str | int, ...], message: str, value: object) -> ValidationError:
    """Return a ValidationError with one readable error; raised in a validator, it keeps its location."""
    error = PydanticCustomError("refused", "{message}", {"message": message})
    return ValidationError.from_exception_data(title, [InitErrorDetails(type=error, loc=location, input=value)])


def problems_of(error: ValidationError, start: str = "") -> list[str]:
    """Return one line per error: ``where: what``. ``start`` is put before each location."""
    lines = []
    for detail in error.errors(include_url=False):
        where = start
        for part in detail["loc"]:
            where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else part
        what = detail["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {what}" if where else what)
    return lines


class Strict(BaseModel):
    """A frozen model without type coercion that refuses unknown names and says which were meant.

    A subclass may override `choose` to hand its input to one of its own subclasses.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True, serialize_by_alias=True)

    @classmethod
    def choose(cls, data: object) -> type[Strict]:
        """Return the class that ``data`` is for. Raises ValidationError when there is none."""
        del data
        return cls

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema, with defaults as people write them (``100ms``) and the text under each attribute.

        Pydantic's `use_attribute_docstrings` would read the sources on each import, which makes every start slower.
        """
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        told = _attribute_docstrings(cls)
        for name, field in cls.model_fields.items():
            about = properties.get(field.alias or name)
            if about is None:
                continue
            if name in told:
                about.setdefault("description", told[name])
            if isinstance(about.get("default"), float):
                typed: Any = Annotated[field.annotation, *field.metadata]
                about["default"] = TypeAdapter(typed).dump_python(field.default, mode="json")
        return schema

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return data
        chosen = cls.choose(data)
        if chosen is not cls:
            return chosen.model_validate(data)  # type: ignore[return-value]  # choose returns subclasses
        try:
            return handler(data)
        except ValidationError as error:
            names = {field.alias or name for name, field in cls.model_fields.items()}
            details = [_explained(detail, names) for detail in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, details) from None


@cache
def _attribute_docstrings(model: type) -> Mapping[str, str]:
    """The text under each attribute of a class and of those it inherits from; none where there is no source."""
    told: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, Strict) or base is Strict:
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except OSError:
            continue
        for field, text in itertools.pairwise(tree.body if isinstance(tree, ast.ClassDef) else ()):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    told[name] = " ".join(words.split())
    return told


_PLAIN: Mapping[str, str] = {
    "missing": "is required",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def _explained(detail: ErrorDetails, names: Iterable[str]) -> InitErrorDetails:
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden" and len(detail["loc"]) == 1:
        name = detail["loc"][0]
        message = f"unknown attribute {name!r}; {did_you_mean(name, names)}"
    elif kind in _PLAIN:
        message = _PLAIN[kind] if kind == "missing" else f"{_PLAIN[kind]}, not {_shown(detail['input'])}"
    else:
        message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    # The message goes in as data: pydantic would take braces in it for its own placeholders.
    error = PydanticCustomError("refused", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=detail["loc"], input=detail["input"])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
