"""deploy/kubernetes: every object against Kubernetes' schemas, and against what this project wants of each tier.

The schemas are Kubernetes' own (Apache License 2.0), strict: no unknown fields. `kubernetes-1.37.json` has those of the
kinds that are used here and of all that they refer to, without descriptions: from the package kubernetes-validate.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from badgateway.chain.spec import HOP_DEFAULTS
from badgateway_proxy.__main__ import main as hop_command
from badgateway_upstream.cli import main as instance_command

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
yaml = YAML(typ="safe", pure=True)
KUSTOMIZATION = yaml.load(FOLDER / "kustomization.yaml")
OBJECTS: list[dict[str, Any]] = [
    each for name in KUSTOMIZATION["resources"] for each in yaml.load_all((FOLDER / name).read_text(encoding="utf-8"))
]
TIERS = ("cdn", "lb", "app")


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in OBJECTS if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def container(tier: str) -> dict[str, Any]:
    (found,) = named("Deployment", tier)["spec"]["template"]["spec"]["containers"]
    return dict(found)


SCHEMAS = json.loads((Path(__file__).parent / "kubernetes-1.37.json").read_text(encoding="utf-8"))


def mistakes(each: dict[str, Any]) -> list[str]:
    """What the schema of its kind does not take, with where it is."""
    group, _, version = each["apiVersion"].rpartition("/")
    package = group.partition(".")[0] or "core"
    schema = {"$defs": SCHEMAS, "$ref": f"#/$defs/io.k8s.api.{package}.{version}.{each['kind']}"}
    errors = jsonschema_rs.validator_for(schema).iter_errors(each)
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_the_schemas_of_kubernetes_take_every_object(each: dict[str, Any]) -> None:
    assert mistakes(each) == []


def test_the_schemas_refuse_what_is_unknown_missing_or_of_another_type() -> None:
    good = named("Deployment", "lb")
    for path, key, value in (
        (("spec",), "replica", 2),
        (("spec", "template", "spec"), "containers", None),
        (("spec", "template", "spec", "containers", 0, "ports", 0), "containerPort", "8081"),
        (("spec", "template", "spec", "containers", 0, "readinessProbe"), "periodSecond", 5),
    ):
        bad: Any = deepcopy(good)
        inner = bad
        for step in path:
            inner = inner[step]
        inner[key] = value
        if value is None:
            del inner[key]
        assert mistakes(bad)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_it() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    built = list(yaml.load_all(done.stdout))
    assert [line for each in built for line in mistakes(each)] == []
    (secret,) = [each for each in built if each["kind"] == "Secret"]
    assert len(built) == len(OBJECTS) + 1
    assert all(each["metadata"].get("namespace") == "badgateway" for each in built if each["kind"] != "Namespace")
    for each in built:
        if each["kind"] == "Deployment":
            (own,) = each["spec"]["template"]["spec"]["containers"]
            assert own["env"][1]["valueFrom"]["secretKeyRef"]["name"] == secret["metadata"]["name"]


def test_all_files_are_part_of_it() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {*KUSTOMIZATION["resources"], "kustomization.yaml"}


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_has_a_deployment_a_service_a_budget_and_a_scale(tier: str) -> None:
    labels = {"app.kubernetes.io/name": tier}
    assert named("Deployment", tier)["spec"]["selector"] == {"matchLabels": labels}
    assert named("Deployment", tier)["spec"]["template"]["metadata"]["labels"] == labels
    assert "replicas" not in named("Deployment", tier)["spec"]  # the autoscaler's to say
    assert named("Service", tier)["spec"]["selector"] == labels
    assert named("PodDisruptionBudget", tier)["spec"]["selector"] == {"matchLabels": labels}
    scale = named("HorizontalPodAutoscaler", tier)["spec"]
    assert scale["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": tier}
    assert "cpu" in container(tier)["resources"]["requests"]  # of which the autoscaler takes a percentage


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_has_more_rights_than_it_needs(tier: str) -> None:
    pod, own = named("Deployment", tier)["spec"]["template"]["spec"], container(tier)["securityContext"]
    assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip


@pytest.mark.parametrize("tier", TIERS)
def test_probes_ask_the_admin_port_and_the_token_is_the_secret_s(tier: str) -> None:
    found = container(tier)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = found[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == ("/healthz", "admin")
        assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]  # a pod's address is refused
    (token,) = [each for each in found["env"] if each["name"] == "BADGATEWAY_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"] == {"name": "badgateway-token", "key": "token"}
    assert [each["name"] for each in KUSTOMIZATION["secretGenerator"]] == ["badgateway-token"]


@pytest.mark.parametrize("tier", ["cdn", "lb"])
def test_hops_take_their_arguments_and_are_as_patient_as_in_badgateway_up(tier: str) -> None:
    words = container(tier)["args"]
    assert words[:3] == ["python", "-m", "badgateway_proxy"]
    done = CliRunner().invoke(hop_command, [*words[3:], "--check"])
    assert done.exit_code == 0, done.output
    config = yaml.load(done.stdout)
    assert config["timeouts"].items() >= HOP_DEFAULTS[tier]["timeouts"].items()
    assert config["upstreams"] == {"cdn": ["http://lb:8081"], "lb": ["http://app:9001"]}[tier]
    ports = {each["name"]: each["containerPort"] for each in container(tier)["ports"]}
    assert ports == {"http": config["listen"]["port"], "admin": config["admin"]["port"]}


@pytest.mark.parametrize("tier", TIERS)
def test_the_admin_port_is_reached_by_the_name_of_the_tier(tier: str) -> None:
    spec = named("Service", tier)["spec"]
    ports = {each["name"]: each["port"] for each in spec["ports"]}
    assert spec.get("clusterIP") == "None" or ports["admin"] == 9500  # a headless service has every port of its pods
    (allowed,) = [word for word in container(tier)["args"] if word.endswith(("[cdn]", "[lb]", "admin-host=app"))]
    assert tier in allowed


def test_the_lb_finds_every_instance_by_the_name_of_a_headless_service() -> None:
    assert named("Service", "app")["spec"]["clusterIP"] == "None"
    assert "--set=resolver.strict_dns=true" in container("lb")["args"]
    words = container("app")["args"]
    parsed = instance_command.make_context("app", list(words[3:])).params
    assert (parsed["listen"], parsed["admin"]) == (("0.0.0.0", 9001), ("0.0.0.0", 9500))
    assert parsed["name"] == "$(POD_NAME)"  # which Kubernetes replaces
