"""docker-compose.yml and Dockerfile say what the code says. tests/e2e/test_compose_running.py runs them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from badgateway.chain.spec import HOP_DEFAULTS, MAX_INSTANCES, AppSpec
from badgateway.commands import up
from badgateway.processes.ports import Ports
from badgateway_proxy import HopConfig
from badgateway_proxy.__main__ import main as hop_command
from badgateway_upstream.cli import main as instance_command
from tests.support.tools import require

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PORTS = Ports()
PUBLISHED = {
    "cdn": PORTS.cdn,
    "lb": PORTS.lb,
    "app": PORTS.app,
    "lab": PORTS.control,
}
TOKEN_FILE = "/run/badgateway/token"


def read_compose() -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "docker-compose.yml")
    return document


COMPOSE = read_compose()
SERVICES: dict[str, dict[str, Any]] = {
    name: service for name, service in COMPOSE["services"].items() if "profiles" not in service
}  # test_compose_profiles.py is about the others


def arguments(name: str, module: str) -> list[str]:
    command = SERVICES[name]["command"]
    assert command[:3] == ["python", "-m", module]
    return list(command[3:])


def parsed(command: click.Command, words: list[str]) -> dict[str, Any]:
    """What the real command line makes of these words; it refuses what it does not know."""
    # click keeps the help option that a command was first asked with, and test_docs.py looks at these commands, too
    return dict(command.make_context("compose", list(words), help_option_names=["-h", "--help"]).params)


def lab_options() -> dict[str, Any]:
    shell, flag, script = SERVICES["lab"]["command"]
    assert (shell, flag) == ("sh", "-c")
    before, _, options = script.partition(" exec badgateway up ")
    assert before == f'BADGATEWAY_TOKEN="$${{BADGATEWAY_TOKEN:-$$(cat {TOKEN_FILE})}}"'  # Compose writes $ as $$
    return parsed(up.command, shlex.split(options))


def test_the_chain_is_there_whole() -> None:
    assert list(SERVICES) == list(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_ports_are_the_contract_s_and_on_loopback_only(name: str) -> None:
    # each instance gets a port of the range, in which the contract's are the first
    outside = f"{PORTS.app}-{PORTS.app + MAX_INSTANCES - 1}" if name == "app" else PUBLISHED[name]
    assert SERVICES[name]["ports"] == [f"127.0.0.1:{outside}:{PUBLISHED[name]}"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_service_is_the_one_image_with_the_base_image_as_argument(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == "badgateway"
    assert service["build"]["context"] == "."
    assert service["build"]["args"] == {"BASE_IMAGE": "${BASE_IMAGE:-python:3.13-slim}"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_service_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert not {"privileged", "network_mode", "pid", "user", "cap_add", "devices"} & set(service)


def test_only_what_crashes_for_its_lesson_is_started_again() -> None:
    policies = {name: service["restart"] for name, service in SERVICES.items()}
    assert policies == dict.fromkeys(SERVICES, "no") | {"app": "unless-stopped"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_token_is_the_environment_s_or_the_volume_s(name: str) -> None:
    assert SERVICES[name]["environment"] == {"BADGATEWAY_TOKEN": "${BADGATEWAY_TOKEN:-}"}


def test_docker_compose_takes_the_file() -> None:
    require("docker-compose")
    done = subprocess.run(
        ["docker-compose", "config"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    services = YAML(typ="safe", pure=True).load(done.stdout)["services"]
    assert set(services) >= set(SERVICES)
    assert services["app"]["scale"] == 2


@pytest.mark.parametrize("name", ["cdn", "lb"])
def test_hops_are_configured_as_in_badgateway_up(name: str) -> None:
    words = arguments(name, "badgateway_proxy")
    done = CliRunner().invoke(hop_command, [*words, "--check"])
    assert done.exit_code == 0, done.output
    config = json.loads(done.stdout)
    upstreams = {"cdn": [f"http://lb:{PORTS.lb}"], "lb": [f"http://app:{PORTS.app}"]}
    assert config["upstreams"] == upstreams[name]
    assert config["listen"] == {"host": "0.0.0.0", "port": PUBLISHED[name]}  # published on loopback only
    assert config["admin"]["host"] == "0.0.0.0"
    assert config["admin"]["allowed_hosts"] == [name]
    assert config["admin"]["token_file"] == TOKEN_FILE
    expected = HopConfig.model_validate(
        {**HOP_DEFAULTS[name], "name": name, "tier": name, "upstreams": upstreams[name]}
    ).model_dump(mode="json")
    assert config["resolver"]["strict_dns"] is (name == "lb")
    for wired in ("listen", "admin", "upstreams", "resolver"):
        del expected[wired]
    assert {key: config[key] for key in expected} == expected


def test_instances_share_the_shop_and_the_token_and_number_themselves() -> None:
    options = parsed(instance_command, arguments("app", "badgateway_upstream"))
    assert options["numbered"] == str(Path(TOKEN_FILE).parent)
    assert options["listen"] == ("0.0.0.0", PUBLISHED["app"])
    assert options["admin_host"] == ("app",)
    assert SERVICES["app"]["scale"] == AppSpec().instances
    assert options["token_file"] == TOKEN_FILE
    assert options["database"] == "/var/lib/badgateway/shop.sqlite3"


def test_the_lab_attaches_to_every_other_service() -> None:
    options = lab_options()
    others = [name for name in SERVICES if name != "lab"]
    assert options["attach"] == tuple(f"{name}=http://{name}:{admin_port(name)}" for name in others)
    assert (options["control_host"], options["control_port"]) == ("0.0.0.0", PORTS.control)
    assert options["hosts"] == ("lab",)
    assert list(SERVICES["lab"]["depends_on"]) == others


def admin_port(name: str) -> int:
    if name == "lab":
        return int(lab_options()["control_port"])
    if name == "app":
        return int(parsed(instance_command, arguments(name, "badgateway_upstream"))["admin"][1])
    return int(parsed(hop_command, arguments(name, "badgateway_proxy"))["admin"]["port"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_health_is_asked_at_the_admin_port(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    kind, program, flag, code = check["test"]
    assert (kind, program, flag) == ("CMD", "python", "-c")
    assert f"('127.0.0.1', {admin_port(name)}, timeout=2)" in code
    assert "'/healthz'" in code
    assert check["retries"] > 1


@pytest.fixture
def answering() -> Iterator[tuple[ThreadingHTTPServer, list[int]]]:
    """A server on loopback that answers with the status in the list."""
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0] if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server, status
        server.shutdown()
        thread.join()


def test_the_health_check_tells_well_from_ill(answering: tuple[ThreadingHTTPServer, list[int]]) -> None:
    server, status = answering
    code = SERVICES["cdn"]["healthcheck"]["test"][3].replace(str(admin_port("cdn")), str(server.server_port))
    for answer, well in ((200, True), (503, False)):
        status[0] = answer
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
        assert (done.returncode == 0) is well
    server.socket.close()
    refused = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
    assert refused.returncode != 0


def test_volumes_are_where_the_user_may_write() -> None:
    mounted = {volume.partition(":")[2] for service in SERVICES.values() for volume in service["volumes"]}
    made = re.search(r"install -d -o badgateway -g badgateway -m 0700 ([^\n\\]+)", DOCKERFILE)
    assert made is not None
    assert set(made[1].split()) == mounted
    assert {volume.partition(":")[0] for volume in SERVICES["lab"]["volumes"]} == set(COMPOSE["volumes"])


def test_the_image_runs_as_an_ordinary_user_on_a_base_of_one_s_choice() -> None:
    instructions = re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.MULTILINE)
    assert instructions[0] == ("ARG", "BASE_IMAGE=python:3.13-slim")
    assert {value.split()[0] for word, value in instructions if word == "FROM"} == {"${BASE_IMAGE}"}
    assert [value for word, value in instructions if word == "USER"] == ["badgateway"]


def test_the_legacy_builder_can_build_it() -> None:
    assert not re.search(r"--mount|--chmod|--link|^# *syntax|<<", DOCKERFILE, re.MULTILINE)


def test_the_image_installs_what_is_pinned_with_its_hashes() -> None:
    installs = re.findall(r"pip install ([^\n]+?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 3
    for options in installs:
        assert "--require-hashes" in options or "--no-deps --no-index" in options


def test_everything_that_builds_the_wheel_is_in_the_image_s_list() -> None:
    listed = re.search(r"\^\(([a-z|-]+)\)==", DOCKERFILE)
    assert listed is not None
    assert needs("hatchling") <= set(listed[1].split("|"))


def needs(name: str) -> set[str]:
    """The distribution and all that it depends on here."""
    found = {name}
    for requirement in metadata.requires(name) or ():
        words, _, marker = requirement.partition(";")
        if "extra" not in marker and "python_version" not in marker:
            found |= needs(re.split(r"[^A-Za-z0-9._-]", words.strip())[0].lower())
    return found


def test_what_the_image_copies_is_let_through() -> None:
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for words in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in words.split()[:-1]
    }
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)
