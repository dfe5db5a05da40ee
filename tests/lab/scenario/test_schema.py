from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from badgateway.scenario.schema import scenario_schema
from badgateway.scenario.steps import ACTIONS, STEPS
from badgateway_upstream import FAULTS

SCHEMA = scenario_schema()


def every(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from every(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from every(inner)


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    refs = {part["$ref"] for part in every(SCHEMA) if "$ref" in part}
    assert refs == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def test_it_is_json_of_draft_2020_12_without_guesswork_at_the_top() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["required"] == ["title", "code"]
    assert SCHEMA["additionalProperties"] is False
    assert set(SCHEMA["properties"]) == {
        "title",
        "code",
        "causes",
        "story",
        "chain",
        "chain_cause",
        "steps",
        "traffic",
        "timeline",
        "expect",
        "lesson",
    }


def test_every_fault_is_there_with_its_attributes() -> None:
    kinds = {ref["$ref"].rpartition("/")[2] for ref in SCHEMA["$defs"]["fault"]["oneOf"]}
    assert kinds == {f"fault_{kind}" for kind in FAULTS}
    latency = SCHEMA["$defs"]["fault_latency"]
    assert latency["properties"]["kind"] == {"const": "latency"}
    assert {"target", "latency", "jitter", "for", "when", "may_not_fire"} <= set(latency["properties"])
    assert {"kind", "target"} <= set(latency["required"])
    for kind, fault in FAULTS.items():
        assert SCHEMA["$defs"][f"fault_{kind}"]["description"] == fault.summary


def test_a_default_of_a_duration_is_one_that_its_pattern_takes() -> None:
    timed = [part for part in every(SCHEMA) if "ms|" in str(part.get("pattern")) and "default" in part]
    assert len(timed) > 20
    assert [part for part in timed if not re.search(part["pattern"], str(part["default"]))] == []
    latency = SCHEMA["$defs"]["fault_latency"]["properties"]["latency"]
    assert (latency["default"], latency["description"]) == ("100ms", "How much later the answer begins.")


def test_every_attribute_of_a_fault_and_every_condition_is_described() -> None:
    parts = [SCHEMA["$defs"]["When"], *(SCHEMA["$defs"][f"fault_{kind}"] for kind in FAULTS)]
    for part in parts:
        names = part["properties"].keys() - {"kind"}
        assert [name for name in names if not part["properties"][name].get("description")] == []


def keys_of(name: str) -> set[str]:
    required = [set(choice["required"]) for choice in SCHEMA["$defs"][name]["oneOf"]]
    assert all(set(choice["properties"]) >= {"note"} for choice in SCHEMA["$defs"][name]["oneOf"])
    return set.union(*required) - {"target", "at"}


def test_steps_and_moments_have_exactly_their_kinds() -> None:
    attributes = {key for kind in FAULTS for key in SCHEMA["$defs"][f"fault_{kind}"]["required"]} - {"kind", "target"}
    assert keys_of("step") - attributes == set(STEPS)
    assert keys_of("moment") - attributes == set(ACTIONS)
    assert all("at" in choice["required"] for choice in SCHEMA["$defs"]["moment"]["oneOf"])


def test_a_chain_offers_what_a_hop_can_be_told_and_nothing_the_lab_decides() -> None:
    hop, app = SCHEMA["$defs"]["hop"], SCHEMA["$defs"]["app"]
    assert {"timeouts", "retry", "breaker"} <= set(hop["properties"])
    assert not {"name", "listen", "upstreams"} & set(hop["properties"])
    assert {"instances", "backend", "backlog"} <= set(app["properties"])
    assert "required" not in hop
