"""The control API as an OpenAPI 3.1 document, for the lab that serves it: its routes, its hops, its faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from badgateway.chain.faultspecs import HOP_FAULTS
from badgateway.chain.spec import WIRED
from badgateway.control import messages
from badgateway.control.client import SESSION_HEADER
from badgateway_proxy import Duration, HopConfig
from badgateway_upstream import FAULTS

OPENAPI: Final = "3.1.1"
Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"
_TEXT: Final[Mapping[str, Any]] = MappingProxyType({"type": "string"})
_FLAG: Final[Mapping[str, Any]] = MappingProxyType({"type": "boolean", "default": False})
_LIMIT: Final[Mapping[str, Any]] = MappingProxyType({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})


@dataclass(frozen=True)
class Operation:
    """What an endpoint takes and answers.

    `answer`: a type of `messages`, or a schema. `body`: likewise. `errors`: statuses besides 400, 401 and 403.
    `sessions`: whether it answers a session about its own things. `open`: whether it needs no token.
    """

    answer: Any
    errors: tuple[int, ...] = ()
    body: Any = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    status: int = 200
    sessions: bool = False
    open: bool = False
    media: str = "application/json"


_ANY: Final[Mapping[str, Any]] = MappingProxyType({"type": "object"})

_PURGE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "oneOf": [
            {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}
            for key, schema in (
                ("url", {"type": "string", "pattern": "^(/|https?://)", "description": "A path is of any host."}),
                ("tag", {"type": "string"}),
                ("all", {"const": True}),
            )
        ]
    }
)
"""What a cache is to forget."""

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "GET /": Operation(_TEXT, media="text/html", open=True),
        "GET /healthz": Operation(messages.Health, open=True),
        "GET /api": Operation({"type": "object", "additionalProperties": {"type": "string"}}),
        "GET /api/openapi.json": Operation(_ANY),
        "GET /api/chain": Operation(messages.Chain, (503,)),
        "GET /api/faults": Operation(list[messages.Fault], (503,), query={"ended": _FLAG}, sessions=True),
        "POST /api/faults": Operation(
            messages.Fault,
            (409, 413, 503),
            body={"$ref": "#/components/schemas/NewFault"},
            status=201,
            sessions=True,
        ),
        "DELETE /api/faults": Operation(messages.Cleared, (503,), sessions=True),
        "GET /api/faults/{id}": Operation(messages.Fault, (404, 503), sessions=True),
        "DELETE /api/faults/{id}": Operation(messages.Cleared, (404, 503), sessions=True),
        "GET /api/hops/{name}": Operation(_ANY, (404, 503)),
        "PATCH /api/hops/{name}": Operation(_ANY, (404, 409, 413, 503), body={"$ref": "#/components/schemas/HopPatch"}),
        "POST /api/hops/{name}/breaker": Operation(_ANY, (404, 409, 413, 503), body=messages.BreakerOrder),
        "POST /api/hops/{name}/cache/purge": Operation(messages.Purged, (404, 409, 413, 503), body=_PURGE),
        "GET /api/processes/{name}/state": Operation(_ANY, (404, 503)),
        "POST /api/processes/{name}/restart": Operation(messages.Restarted, (404, 409, 503)),
        "POST /api/processes/{name}/stop": Operation(messages.Chain, (404, 409, 503)),
        "POST /api/clock": Operation(messages.Advanced, (409, 413, 503), body=messages.ClockOrder),
        "POST /api/reset": Operation(messages.Chain, (409, 503)),
        "GET /api/exchanges": Operation(
            list[messages.Exchange],
            (503,),
            query={"request_id": _TEXT, "limit": _LIMIT, "settled": _FLAG},
            sessions=True,
        ),
        "GET /api/events": Operation(_TEXT, sessions=True, media="text/event-stream"),
    }
)


def document(routes: Iterable[web.RouteDef], hops: Sequence[str], instances: Sequence[str]) -> Schema:
    """The document. `hops` and `instances`: names of the lab's processes; each route's handler says what it does."""
    schemas = _Schemas()
    names = {"hops": list(hops), "processes": [*hops, "app", *instances]}
    paths: dict[str, Schema] = {}
    for route in routes:
        operation = OPERATIONS.get(f"{route.method} {route.path}")
        if operation is not None:
            told = _operation(route, operation, names, schemas)
            paths.setdefault(route.path, {})[route.method.lower()] = told
    schemas.found["HopPatch"] = _patch(schemas)
    schemas.found["NewFault"] = _new_fault(hops, instances, schemas)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "badgateway: the control API of a running lab",
            "version": "1",
            "description": "A chain of real gateways, CDN → LB → app, that is broken on purpose. Names of processes "
            "are those of the lab that serves this document.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`badgateway up` printed it."}
            },
            "schemas": dict(sorted(_reachable(paths, schemas.found).items())),
        },
    }


def _reachable(start: Any, schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """The schemas to which references lead from `start`, directly or through others."""
    found: dict[str, Schema] = {}
    waiting = [start]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found[name] = schemas[name]
                waiting.append(schemas[name])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


class _Schemas:
    """Schemas of types, with the definitions that they share."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def add(self, schemas: Mapping[str, Schema]) -> None:
        """Keep these; one name stands for one schema."""
        for name, schema in schemas.items():
            if self.found.setdefault(name, schema) != schema:
                raise ValueError(f"two schemas are called {name}")

    def of(self, kind: Any, mode: JsonSchemaMode = "serialization") -> Schema:
        """The schema of a type, or `kind` itself where it is a schema already."""
        if isinstance(kind, Mapping):
            return dict(kind)
        schema = TypeAdapter(kind).json_schema(ref_template=_REF, mode=mode)
        self.add(schema.pop("$defs", {}))
        if schema.get("type") == "object" and hasattr(kind, "__name__"):
            self.add({kind.__name__: schema})
            return {"$ref": _REF.format(model=kind.__name__)}
        return schema


def _operation(route: web.RouteDef, what: Operation, names: Mapping[str, list[str]], schemas: _Schemas) -> Schema:
    summary, _, rest = (route.handler.__doc__ or "").partition("\n")
    statuses = {*what.errors, *(() if what.open else (400, 401)), 403}
    answers: Schema = {str(what.status): _answer(what.status, what.media, schemas.of(what.answer))}
    error = schemas.of(messages.Error)
    answers |= {str(status): _answer(status, "application/json", error) for status in sorted(statuses)}
    told: Schema = {
        "operationId": route.handler.__name__,
        "summary": summary,
        "parameters": [*_parameters(route.path, what, names)],
        "responses": answers,
    }
    if rest.strip():
        told["description"] = rest.strip()
    if what.open:
        told["security"] = []
    if what.body is not None:
        body = schemas.of(what.body, "validation")
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return told


def _answer(status: int, media: str, schema: Schema) -> Schema:
    return {"description": HTTPStatus(status).phrase, "content": {media: {"schema": schema}}}


def _parameters(path: str, what: Operation, names: Mapping[str, list[str]]) -> Iterable[Schema]:
    if "{id}" in path:
        yield _parameter("id", "path", {"type": "string", "minLength": 1})
    if "{name}" in path:
        kind = path.split("/")[2]
        yield _parameter("name", "path", {"type": "string", "enum": names[kind]})
    for name, schema in what.query.items():
        yield _parameter(name, "query", dict(schema))
    if what.sessions:
        schema = {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,64}$"}
        yield {
            **_parameter(SESSION_HEADER, "header", schema),
            "description": "Of this session only. The member badgateway-session of `baggage` says the same.",
        }


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _patch(schemas: _Schemas) -> Schema:
    """A merge patch of a hop's configuration: all of it may be left out, and null is the default again (RFC 7396)."""
    config = HopConfig.model_json_schema(ref_template=_REF)
    for name, definition in config.pop("$defs").items():
        schemas.found[f"{name}Patch"] = _loosened(definition)
    own = {name: _renamed(value) for name, value in config["properties"].items() if name not in WIRED - {"upstreams"}}
    return {"type": "object", "properties": _nullable(own), "additionalProperties": False}


def _loosened(definition: Schema) -> Schema:
    loose = {key: value for key, value in definition.items() if key != "required"}
    if "properties" in loose:
        loose["properties"] = _nullable({name: _renamed(value) for name, value in loose["properties"].items()})
    return dict(_renamed(loose))


def _nullable(properties: Mapping[str, Any]) -> Schema:
    return {name: {"anyOf": [dict(schema), {"type": "null"}]} for name, schema in properties.items()}


def _renamed(schema: Any) -> Any:
    """References to a definition go to its loosened form."""
    if isinstance(schema, Mapping):
        return {
            key: f"{value}Patch" if key == "$ref" and not value.endswith("Patch") else _renamed(value)
            for key, value in schema.items()
            if key != "discriminator"
        }
    return [_renamed(each) for each in schema] if isinstance(schema, list) else schema


def _new_fault(hops: Sequence[str], instances: Sequence[str], schemas: _Schemas) -> Schema:
    """Every fault with its own attributes; of a hop, only the process can fail."""
    choices = []
    for kind, fault in FAULTS.items():
        schema = fault.attributes.model_json_schema(ref_template=_REF)
        schemas.add(schema.pop("$defs", {}))
        schema["description"] = fault.summary
        schema["properties"] |= {"kind": {"const": kind}, "target": {"enum": ["app", *instances]}}
        schema["required"] = ["target", "kind", *(key for key in schema.get("required", ()) if key != "kind")]
        name = f"Fault_{kind}"
        schemas.found[name] = schema
        choices.append({"$ref": _REF.format(model=name)})
    duration = TypeAdapter(Duration).json_schema()
    of_hop: Schema = {
        "type": "object",
        "description": "A fault of a hop: its process is killed, ends, or stands still.",
        "properties": {
            "target": {"enum": list(hops)},
            "kind": {"enum": list(HOP_FAULTS)},
            "for": duration,
            "id": {"type": "string", "pattern": r"^[A-Za-z0-9_.:-]{1,64}$"},
        },
        "required": ["target", "kind"],
        "additionalProperties": False,
    }
    schemas.found["FaultOfHop"] = of_hop
    return {"oneOf": [*choices, {"$ref": _REF.format(model="FaultOfHop")}]}
