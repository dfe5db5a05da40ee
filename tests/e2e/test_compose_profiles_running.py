"""docker-compose.yml's profiles run for real, where BADGATEWAY_DOCKER=1 says that there is a Docker engine.

Each of the public images must be there or pulled; NGINX_IMAGE and its like name others.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from badgateway.alerting.rules import ALERTS
from tests.support.composed import NOT_WANTED, PROFILES, WANTED, Composed, ask, compose_commands, composed, eventually
from tests.support.prometheus import Prometheus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.skipif(not WANTED, reason=NOT_WANTED)]

PUBLISHED = {"nginx": 8082, "haproxy": 8083, "envoy": 8084}
REFUSED = {"nginx": 502, "haproxy": 503, "envoy": 503}
TOKEN = "of-the-environment"


COMMANDS = compose_commands() if WANTED else [["docker-compose"]]


@pytest.fixture(scope="module", params=COMMANDS, ids=" ".join)
def chain(request: Any) -> Iterator[Composed]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BADGATEWAY_TOKEN", TOKEN)
        with composed(request.param) as chain:
            yield chain


@pytest.fixture(autouse=True)
def whole(chain: Composed) -> Iterator[None]:
    chain.reset()
    assert eventually(200).decided_by == "app"
    yield
    chain.run("up", "-d")


def start(chain: Composed, service: str) -> None:
    config = chain.run(*PROFILES, "config")
    image = YAML(typ="safe", pure=True).load(config)["services"][service]["image"]
    for command in ("inspect", "pull"):
        words = ["docker", *(["image"] if command == "inspect" else []), command, image]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode == 0:
            break
    else:
        pytest.skip(f"{image} cannot be pulled here")
    chain.run("up", "-d", "--no-deps", service)


def test_the_token_is_the_environment_s(chain: Composed) -> None:
    assert chain.control("GET", "/api/chain") == 200
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BADGATEWAY_TOKEN", "another")
        assert chain.control("GET", "/api/chain") == 401
    assert "decided" in chain.run("exec", "-T", "lab", "badgateway", "request", "/products").lower()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_real_proxy_finds_every_instance_by_its_name_and_has_its_own_code_for_each_fault(
    chain: Composed, name: str
) -> None:
    start(chain, name)
    port = PUBLISHED[name]
    served: set[str | None] = set()

    def both() -> bool:
        served.add(eventually(200, port=port).instance)
        return served == {"app-1", "app-2"}

    chain.until(both, "an answer of each instance")
    assert chain.control("PATCH", "/api/hops/cdn", {"upstreams": [f"http://{name}:8081"]}) == 200
    assert ask().status == 200
    assert chain.control("POST", "/api/faults", {"target": "app", "kind": "hang", "for": "60s"}) in (200, 201)
    assert ask(port).status == 504
    relayed = ask()
    assert relayed.status == 504
    assert relayed.decided_by != "cdn"  # the proxy is as patient as the LB, or the CDN would have decided
    chain.reset()
    chain.docker("kill", *chain.containers("app"))
    assert eventually(REFUSED[name], port=port).status == REFUSED[name]
    chain.run("up", "-d")
    eventually(200, port=port)


def test_prometheus_has_both_hops_and_pages_for_5xx_and_not_for_4xx(chain: Composed) -> None:
    start(chain, "prometheus")
    prometheus = Prometheus(9090)
    chain.until(lambda: prometheus.targets() == {"cdn": "up", "lb": "up"}, "both targets are up")
    assert {rule["name"] for rule in prometheus.rules() if rule["type"] == "alerting"} == set(ALERTS)

    def asked(path: str, status: int) -> bool:
        assert ask(path=path).status == status
        return True

    chain.until(lambda: asked("/nothing", 404) and prometheus.counted("cdn", "4..") > 20, "4xx", within=120)
    before = max(str(rule["lastEvaluation"]) for rule in prometheus.rules())
    chain.until(lambda: prometheus.evaluated() > before, "another evaluation")
    assert prometheus.alerts() == {}

    garbage = {"target": "app", "kind": "garbage", "for": "5m"}
    assert chain.control("POST", "/api/faults", garbage) in (200, 201)
    paged = {"cdn", "lb"}
    chain.until(
        lambda: asked("/products", 502) and prometheus.alerts().get("ErrorBudgetBurnFast") == paged, "a page", 180
    )
