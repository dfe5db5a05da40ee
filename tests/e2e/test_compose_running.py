"""docker-compose.yml run for real, where BADGATEWAY_DOCKER=1 says that there is a Docker engine: containers are killed,
frozen and cut off, with every docker-compose that is there (1.29, v2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.composed import NOT_WANTED, WANTED, Composed, ask, compose_commands, composed, eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not WANTED, reason=NOT_WANTED),
]
COMMANDS = compose_commands() if WANTED else [["docker-compose"]]


@pytest.fixture(scope="module", params=COMMANDS, ids=" ".join)
def chain(request: Any) -> Iterator[Composed]:
    with composed(request.param) as chain:
        yield chain


@pytest.fixture(autouse=True)
def whole(chain: Composed) -> None:
    chain.reset()
    assert eventually(200).decided_by == "app"


def test_killed_instances_are_502_and_then_503_by_the_breaker_until_they_are_started(chain: Composed) -> None:
    killed = chain.containers("app")
    assert len(killed) == 2
    chain.docker("kill", *killed)
    assert eventually(502).decided_by == "lb"
    assert chain.control("PATCH", "/api/hops/lb", {"breaker": {"enabled": True}}) == 200
    opened = eventually(503)
    assert (opened.decided_by, opened.retry_after is not None) == ("lb", True)
    hops = ("lb", "cdn")
    chain.until(lambda: {chain.health(hop) for hop in hops} == {"healthy"}, "healthy hops before a dead upstream")
    assert [chain.restarts(each) for each in killed] == [0, 0]  # killed from outside: no restart
    chain.run("up", "-d")
    chain.reset()
    eventually(200)


def test_a_frozen_lb_is_504_by_the_cdn(chain: Composed) -> None:
    chain.docker("pause", chain.container("lb"))
    try:
        assert eventually(504).decided_by == "cdn"
    finally:
        chain.docker("unpause", chain.container("lb"))
    eventually(200)


def test_instances_cut_off_from_the_network_are_502_until_they_are_connected(chain: Composed) -> None:
    cut = chain.containers("app")
    try:
        for container in cut:
            chain.docker("network", "disconnect", chain.network, container)
        assert eventually(502).decided_by == "lb"  # no such name; 504 while the LB still knows their addresses
    finally:
        for container in cut:
            chain.docker("network", "connect", "--alias", "app", chain.network, container)
        chain.run("restart", "lab")  # they have other addresses now
    chain.reset()
    eventually(200)


def test_a_fault_is_no_ill_health(chain: Composed) -> None:
    garbage = {"target": "app", "kind": "garbage", "for": "60s"}
    assert chain.control("POST", "/api/faults", garbage) in (200, 201)
    assert eventually(502).decided_by == "lb"
    seen = {container: _checks(chain, container) for container in chain.containers("app")}
    for container, before in seen.items():
        chain.until(lambda c=container, b=before: _checks(chain, c) != b, "another health check")  # type: ignore[misc]  # bound now
    assert ask().status == 502
    assert chain.health("app") == "healthy"


def _checks(chain: Composed, container: str) -> str:
    """When the health checks that Docker remembers began."""
    return chain.docker("inspect", "--format", "{{range .State.Health.Log}}{{.Start}} {{end}}", container)


def test_a_crash_is_a_real_restart(chain: Composed) -> None:
    crashed = {container: chain.restarts(container) for container in chain.containers("app")}
    crash = {"target": "app", "kind": "crash", "for": "60s"}
    assert chain.control("POST", "/api/faults", crash) in (200, 201)
    chain.until(lambda: all(chain.restarts(each) > before for each, before in crashed.items()), "a restart by Docker")
    chain.reset()
    eventually(200)


def test_one_more_instance_serves_and_the_lab_knows_it_after_a_restart(chain: Composed) -> None:
    served: set[str | None] = set()

    def all_have() -> bool:
        served.add(eventually(200).instance)
        return served == {"app-1", "app-2", "app-3"}

    chain.run("up", "-d", "--scale", "app=3")
    chain.run("restart", "lab")
    chain.until(all_have, "an answer of each of three instances")
    chain.reset()
    assert "app-3" in chain.run("exec", "-T", "lab", "badgateway", "request", "/products")
    chain.run("up", "-d", "--scale", "app=2")
    chain.run("restart", "lab")


def test_a_killed_lb_is_502_by_the_cdn_until_it_is_started(chain: Composed) -> None:
    chain.docker("kill", chain.container("lb"))
    assert eventually(502).decided_by == "cdn"
    chain.run("up", "-d", "lb")
    eventually(200)
