"""Every setting of a hop as text: its dotted path, its default, what it is for. Made from the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from badgateway_proxy.configuration.config import HopConfig


def settings_help() -> str:
    """The list of settings, a paragraph each, in the order of the models."""
    example: dict[str, Any] = HopConfig(upstreams=("127.0.0.1:9001",)).model_dump(mode="json")
    example.pop("upstreams")
    return "\n".join(_describe(HopConfig, example, ""))


def _describe(model: type[BaseModel], defaults: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        # A union's sections (the breaker's window) have no single list of keys; their description shows them.
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _describe(section, defaults[name], f"{path}.")
            continue
        default = f" (default {_yaml(defaults[name])})" if name in defaults else " (required)"
        description = " ".join((field.description or "").split())
        yield f"{path}{default}\n    {description}"
        for part in get_args(section):
            if isinstance(part, type) and issubclass(part, BaseModel) and defaults.get(name, ...) is None:
                # what is needed once the section is there
                fields = part.model_fields
                written = {inner: value.default for inner, value in fields.items() if not value.is_required()}
                yield from _describe(part, written, f"{path}.")


def _yaml(value: object) -> str:
    """A default as one would write it in YAML."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(inner)}" for key, inner in value.items()) + "}"
    return str(value)
