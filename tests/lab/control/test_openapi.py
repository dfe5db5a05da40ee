"""The document of the control API: whole, true to the models, and true of a running lab."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from pydantic import TypeAdapter
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation, BaseSchema

from badgateway import testing
from badgateway.chain.lab import Lab
from badgateway.control.client import ControlClient
from badgateway.control.openapi import OPERATIONS, document
from badgateway.control.server import OPEN_PATHS, PARAMETERS, ControlServer
from badgateway.testing import Lab as LabUnderTest
from badgateway_proxy import HopConfig
from badgateway_upstream import FAULTS
from tests.support.asking import status_of

#: Valid by the schema, but not here and now: a fault's id is taken, a bound depends on another setting. And 503 says
#: that a process is dead, which these requests see to; 500 is in no operation, so it is never conformant.
NOT_OURS = ["positive_data_acceptance", "not_a_server_error"]
#: A stream without an end, which test_server.py reads.
ENDLESS = "/api/events"
#: Schemathesis leaves out what it has read the schema from.
DOCUMENT = "GET /api/openapi.json"
#: Cases of each kind, valid and not; more where much can be said.
CASES = {"POST /api/faults": 30, "PATCH /api/hops/{name}": 15}
FEW = 5
#: Fields that the HTTP parser acts on: what it refuses has reached no operation.
FRAMING = ["Transfer-Encoding", "Content-Length", "Expect"]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return document(routes(), ["cdn", "lb"], ["app-1"])


def server() -> ControlServer:
    return ControlServer(Lab.__new__(Lab), token="")


def routes() -> Any:
    return server()._api.routes()


def references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_it_is_a_document_of_openapi_3_1(told: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(told).validate()
    assert told["openapi"].startswith("3.1.")


def test_every_endpoint_is_in_it_and_nothing_else(told: dict[str, Any]) -> None:
    routed = server()._runner.app.router.routes()
    # aiohttp answers HEAD as GET (RFC 9110 section 9.3.2), which is nothing of ours to describe
    served = {f"{r.method} {r.resource.canonical}" for r in routed if r.resource and r.method != "HEAD"}
    assert {name.partition(" ")[2] for name, found in OPERATIONS.items() if found.open} == OPEN_PATHS
    assert set(OPERATIONS) == served
    assert {f"{method.upper()} {path}" for path, methods in told["paths"].items() for method in methods} == served
    assert {name: tuple(found.query) for name, found in OPERATIONS.items() if found.query} == PARAMETERS
    assert all(operation["summary"] for methods in told["paths"].values() for operation in methods.values())


def test_every_reference_leads_somewhere_and_every_schema_is_used(told: dict[str, Any]) -> None:
    found = {reference.removeprefix("#/components/schemas/") for reference in references(told)}
    assert found == told["components"]["schemas"].keys()


def test_faults_and_settings_are_those_of_the_code(told: dict[str, Any]) -> None:
    schemas = told["components"]["schemas"]
    choices = [reference.rpartition("/")[2] for reference in references(schemas["NewFault"])]
    assert choices == [*(f"Fault_{kind}" for kind in FAULTS), "FaultOfHop"]
    assert schemas["Fault_latency"]["properties"]["latency"]["description"]
    assert schemas["HopPatch"]["properties"].keys() <= HopConfig.model_fields.keys()
    assert {"timeouts", "retry", "breaker", "upstreams"} <= schemas["HopPatch"]["properties"].keys()
    assert "required" not in schemas["HopPatch"]


@pytest.fixture(scope="module")
def lab() -> Iterator[LabUnderTest]:
    with testing.running(instances=1) as lab:
        yield lab


@pytest.fixture(scope="module")
def served(lab: LabUnderTest) -> BaseSchema:
    load_all_checks()
    return schemathesis.openapi.from_url(f"{lab.control}/api/openapi.json", headers=authorized(lab))


def authorized(lab: LabUnderTest) -> dict[str, str]:
    return {"Authorization": f"Bearer {lab.token}"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # schemathesis' own
def test_a_running_lab_answers_as_it_says(lab: LabUnderTest, served: BaseSchema) -> None:
    answered: Counter[str] = Counter()
    for found in served.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if operation.path != ENDLESS:
            populate(lab)
            for mode in GenerationMode:
                answered += probe(lab, operation, mode)
    asked = {name.rpartition(" ")[0] for name in answered}
    assert asked == {name for name in OPERATIONS if ENDLESS not in name} - {DOCUMENT}
    # what was asked was not only nonsense: these took some of it, and acted
    for name in ("POST /api/faults 201", "PATCH /api/hops/{name} 200", "POST /api/reset 200", "GET /api/exchanges 200"):
        assert answered[name], answered


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GET /api/chain", "GET /api/faults", "GET /api/exchanges", "POST /api/reset"])
def test_answers_have_no_fields_that_it_does_not_describe(lab: LabUnderTest, name: str) -> None:
    populate(lab)
    method, _, path = name.partition(" ")
    query = {"settled": "true"} if "exchanges" in path else None  # or the records may not be there yet
    told = ControlClient(lab.control, lab.token).call(method, path.removeprefix("/api/"), query=query)
    assert told
    described: TypeAdapter[Any] = TypeAdapter(OPERATIONS[name].answer)
    assert described.dump_python(described.validate_python(told), mode="json") == told


def populate(lab: LabUnderTest) -> None:
    """Have exchanges, a fault, and firings to tell of."""
    lab.reset()
    lab.fault("app", "latency", latency="1ms", may_not_fire=True)
    lab.hop("cdn").patch(cache={"enabled": True})
    for path in ("/products", "/nothing"):
        status_of(lab, path)


def probe(lab: LabUnderTest, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> Counter[str]:
    """Ask one operation a few things, valid ones or not, and hold each answer against the document."""
    answered: Counter[str] = Counter()
    name = f"{operation.method.upper()} {operation.path}"
    excluded = [CHECKS.get_one(name) for name in NOT_OURS]

    @settings(
        max_examples=CASES.get(name, FEW),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        for field in FRAMING:
            case.headers.pop(field, None)
        response = case.call(headers=authorized(lab), timeout=90)
        answered[f"{name} {response.status_code}"] += 1
        case.validate_response(response, excluded_checks=excluded, headers=authorized(lab))

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "there are no valid requests"
    return answered
