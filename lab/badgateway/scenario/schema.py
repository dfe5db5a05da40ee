"""The JSON Schema (draft 2020-12) of scenario files, for editors: `badgateway schema`.

It is made from the models that read a scenario, from the hop's and the instance's own configuration models, and from
the registry of faults, so it knows each fault's attributes. It cannot know everything: names of targets and the
syntax of expressions are checked when a file is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from badgateway.chain.spec import HOPS, MAX_INSTANCES, WIRED, WIRED_APP
from badgateway.scenario.model import Scenario
from badgateway.scenario.request import Request
from badgateway.scenario.steps import ACTIONS, STEPS
from badgateway_proxy import HopConfig
from badgateway_upstream import FAULTS, InstanceConfig

_REF: Final = "#/$defs/{model}"

Schema = dict[str, Any]


def scenario_schema() -> Schema:
    """The schema of a scenario file."""
    models: list[type[BaseModel]] = [Scenario, Request, HopConfig, InstanceConfig, *STEPS.values()]
    models += [fault.attributes for fault in FAULTS.values()]
    names, joint = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    definitions: dict[str, Schema] = joint["$defs"]
    schema_of = {model: definitions[names[model, "validation"]["$ref"].rpartition("/")[2]] for model in models}

    request = definitions[names[Request, "validation"]["$ref"].rpartition("/")[2]]
    definitions["request"] = {"anyOf": [{"type": "string", "pattern": r"^\S+ +/\S*$"}, request]}
    definitions["hop"] = _overrides(schema_of[HopConfig], WIRED)
    patches = {hop: {"$ref": "#/$defs/hop"} for hop in HOPS}
    definitions["patch"] = {"type": "object", "properties": patches, "additionalProperties": False}
    definitions["app"] = _app(schema_of[InstanceConfig])
    instance = _overrides(schema_of[InstanceConfig], WIRED_APP)
    definitions["deploy"] = {"type": "object", "maxProperties": 1, "patternProperties": {"^app(-[0-9]+)?$": instance}}
    definitions["deploy"]["additionalProperties"] = False
    nested, flat = [], []
    for kind, fault in FAULTS.items():
        definitions[f"fault_{kind}"] = _fault(kind, fault.summary, schema_of[fault.attributes], name="kind")
        definitions[f"flat_fault_{kind}"] = _fault(kind, fault.summary, schema_of[fault.attributes], name="fault")
        nested.append({"$ref": f"#/$defs/fault_{kind}"})
        flat.append(f"flat_fault_{kind}")
    definitions["fault"] = {"type": "object", "required": ["target", "kind"], "oneOf": nested}
    definitions["step"] = _one_step([schema_of[model] for model in STEPS.values()], definitions, flat, {})
    at = {"at": {"$ref": "#/$defs/duration"}}
    definitions["duration"] = _duration()
    definitions["moment"] = _one_step([schema_of[model] for model in ACTIONS.values()], definitions, flat, at)
    whole = schema_of[Scenario]
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "badgateway scenario",
        **{key: value for key, value in whole.items() if key != "title"},
    }
    root["properties"] = {
        **root["properties"],
        "chain": _chain(),
        "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
        "timeline": {"type": "array", "items": {"$ref": "#/$defs/moment"}},
    }
    root["$defs"] = _reachable(root, definitions)
    return root


def _chain() -> Schema:
    properties: dict[str, Schema] = {hop: {"$ref": "#/$defs/hop"} for hop in HOPS}
    return {
        "type": "object",
        "description": "What differs from the default chain.",
        "properties": {**properties, "app": {"$ref": "#/$defs/app"}, "dns": {"type": "boolean"}},
        "additionalProperties": False,
    }


def _overrides(config: Schema, wired: frozenset[str]) -> Schema:
    kept = {name: value for name, value in config["properties"].items() if name not in wired}
    return {"type": "object", "properties": kept, "additionalProperties": False}


def _app(config: Schema) -> Schema:
    schema = _overrides(config, WIRED_APP)
    schema["properties"]["instances"] = {"type": "integer", "minimum": 1, "maximum": MAX_INSTANCES}
    return schema


def _fault(kind: str, summary: str, attributes: Schema, *, name: str) -> Schema:
    """One fault with its attributes; `name` is the key that says which it is."""
    own = {key: value for key, value in attributes["properties"].items() if key != "kind"}
    return {
        "type": "object",
        "description": summary,
        "properties": {
            name: {"const": kind},
            "target": {
                "type": "string",
                "description": "app, app-1, dns, …; cdn and lb can crash, exit and freeze.",
            },
            "may_not_fire": {"type": "boolean", "description": "The scenario holds even if the fault never fired."},
            **own,
        },
        "required": [name, "target", *(key for key in attributes.get("required", ()) if key != "kind")],
        "additionalProperties": False,
    }


def _one_step(steps: Iterable[Schema], definitions: Mapping[str, Schema], flat: Iterable[str], more: Schema) -> Schema:
    """Each of these steps, and each fault in its flat form, with the properties `more`."""
    choices = []
    note = {"note": {"type": "string"}}
    for schema in [*steps, *(definitions[name] for name in flat)]:
        choice = deepcopy(schema)
        choice["properties"] = {**more, **choice["properties"], **note}
        choice["required"] = [*more, *choice["required"]]
        for key in {"request", "patch", "deploy"} & choice["properties"].keys():
            choice["properties"][key] = {"$ref": f"#/$defs/{key}"}
        if "fault" in choice["properties"] and "target" not in choice["properties"]:
            choice["properties"]["fault"] = {"$ref": "#/$defs/fault"}
        choices.append(choice)
    return {"type": "object", "oneOf": choices}


def _duration() -> Schema:
    return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$", "examples": ["250ms", "10s", "2m"]}


def _reachable(root: Schema, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """The definitions that the schema uses, directly or through others."""
    found: dict[str, Schema] = {}
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found[name] = definitions[name]
                waiting.append(definitions[name])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return dict(sorted(found.items()))
