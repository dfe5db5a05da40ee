"""`badgateway run --attach`: scenarios in a chain that runs already, over its control API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from badgateway.control.client import ControlClient
from badgateway.running.remote import seen_from_here
from tests.support.clitools import Cli

pytestmark = pytest.mark.slow

TOKEN = "shared-token"

OTHERWISE = """\
title: A chain that differs, a step of each kind, and faults that are counted
code: 502
chain:
  lb: {retry: {attempts: 2}, breaker: {minimum_calls: 3, open_for: 5s}}
  cdn: {cache: {default_ttl: 1m}}
  app: {instances: 1}
steps:
  - request: GET /products
    expect: {status: 200, attempts: {lb: 1}, breaker: {lb: closed}}
  - purge: {cdn: all}
  - fault: {target: app, kind: empty_response, when: {first: 2}}
  - request: GET /products
    expect: {status: 502, attempts: {lb: 2}, faults: {fired: 2}, breaker: {lb: open}, app_requests: 2}
  - advance: 5s
  - request: GET /products
    expect: {status: 200, faults: {fired: 0}, endpoints: {lb: {app-1: healthy}}}
  - patch: {lb: {retry: null}}
  - fault: {target: app, kind: hang, may_not_fire: true}
  - clear: hang
  - breaker: {lb: force_open}
  - request: POST /orders
    expect: {status: 503, decided_by: lb}
"""

STARTED_ANEW = """\
title: An instance that has more workers
code: 200
chain: {app: {workers: 2}}
steps:
  - request: GET /products
    expect: {status: 200}
"""

RESTARTED = """\
title: A hop that crashes and is started again
code: 502
chain: {app: {instances: 1}}
steps:
  - fault: {target: lb, kind: crash}
  - request: GET /products
    expect: {status: 502, decided_by: cdn}
  - restart: lb
  - request: GET /products
    expect: {status: 200}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


@pytest.fixture
def control(cli: Cli) -> ControlClient:
    """A chain of `badgateway up`, of two instances, with a setting of its own and a fault that somebody set."""
    chain = cli.runtime / "chain.yaml"
    chain.write_text("lb: {timeouts: {first_byte: 3s}}\n")
    cli.up("--chain", str(chain))
    client = ControlClient(cli.state["control"], cli.state["token"])
    client.set_fault("app", {"kind": "hang"})
    return client


def test_scenarios_get_the_chain_that_they_want_or_are_skipped_and_leave_it_as_it_was(
    cli: Cli, control: ControlClient
) -> None:
    before = control.call("GET", "hops/lb")
    files = []
    for name, text in (("otherwise", OTHERWISE), ("anew", STARTED_ANEW), ("restarted", RESTARTED)):
        files.append(cli.runtime / f"{name}.yaml")
        files[-1].write_text(text)
    status, ran = cli.run("run", *map(str, files), "--attach", control.url, "-v")
    assert status == 0, ran.text
    assert [line.split()[0] for line in ran.lines if line[:1].strip()] == ["held", "skipped", "held", "3"], ran.text
    assert "because: app.workers: instances are started with it" in ran.text
    assert control.call("GET", "hops/lb") == before
    assert control.faults() == []


def test_each_finds_the_shop_as_new_and_counts_only_its_own_firings(cli: Cli, control: ControlClient) -> None:
    """One says which numbers its orders get; one asks an instance directly, and counts firings in the next step."""
    for _ in range(2):
        status, ran = cli.run("run", "502/retried-post", "500/one-instance-broken", "--attach", control.url)
        assert status == 0, ran.text
        assert "2 scenarios: 2 held" in ran.text


def test_a_scenario_fails_there_too_without_its_cause(cli: Cli, control: ControlClient) -> None:
    status, ran = cli.run("run", "502/empty-response", "--attach", control.url, "--without-cause")
    assert status == 0, ran.text
    file = cli.runtime / "uncaused.yaml"
    file.write_text("title: t\ncode: 502\nsteps:\n  - request: GET /products\n    expect: {status: 502}\n")
    status, ran = cli.run("run", str(file), "--attach", control.url)
    assert status == 1, ran.text
    assert "status: expected 502, measured 200" in ran.text


def test_what_somebody_else_runs_is_not_restarted(cli: Cli) -> None:
    """Three processes that are started by hand, and a lab that is attached to them, as in docker-compose.yml."""
    app, app_admin = started(cli, "badgateway_upstream", "--name=app-1")
    lb, lb_admin = started(cli, "badgateway_proxy", "--name=lb", "--tier=lb", f"--upstream={app}")
    cdn, cdn_admin = started(cli, "badgateway_proxy", "--name=cdn", "--tier=cdn", f"--upstream={lb}")
    nodes = [f"cdn=http://{cdn_admin},http://{cdn}", f"lb=http://{lb_admin},http://{lb}"]
    nodes.append(f"app-1=http://{app_admin},http://{app}")
    cli.up("--token", TOKEN, *(word for node in nodes for word in ("--attach", node)))
    file = cli.runtime / "restarted.yaml"
    file.write_text(RESTARTED)
    names = ("502/empty-response", "502/garbage", "502/app-crashed")
    status, ran = cli.run("run", str(file), *names, "--attach", cli.state["control"])
    assert status == 0, ran.text
    assert "because: the fault crash: lb is no process of the lab's own" in ran.text
    assert "because: app.instances: app-1, app-2 wanted, app-1 there" in ran.text
    assert "because: the fault crash: app-1 is no process of the lab's own" in ran.text
    assert "4 scenarios: 1 held, 3 skipped" in ran.text


def started(cli: Cli, module: str, *args: str) -> tuple[str, str]:
    command = [sys.executable, "-m", module, *args, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]
    process = cli.start_other(command, env={**cli.env, "BADGATEWAY_TOKEN": TOKEN})
    ready = json.loads(process.until('"ready"'))
    return str(ready["listen"]), str(ready["admin"])


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (("502", "--attach", "http://127.0.0.1:9", "--token", "t"), 3, "no answer from the control API at"),
        (("502", "--attach", "http://127.0.0.1:9"), 3, "no token for http://127.0.0.1:9"),
        (("502", "--attach", "nonsense"), 2, "'nonsense' does not begin with http://; write it as `badgateway up`"),
        (("502", "--attach", "http://127.0.0.1:9", "--token", "t", "--jobs", "2"), 2, "one scenario at a time"),
        (("502", "--token", "t"), 2, "--token is for --attach"),
    ],
)
def test_what_cannot_be_is_told(cli: Cli, args: tuple[str, ...], status: int, said: str) -> None:
    got, ran = cli.run("run", *args)
    assert got == status, ran.text
    assert said in ran.text


@pytest.mark.parametrize(
    ("url", "control", "seen"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8500", "http://127.0.0.1:8080"),
        ("http://cdn.invalid:8080", "http://127.0.0.1:8500", "http://127.0.0.1:8080"),
        ("http://lb.invalid:8081", "http://[::1]:8500", "http://[::1]:8081"),
    ],
)
def test_a_name_that_means_nothing_here_is_sought_where_the_control_api_is(url: str, control: str, seen: str) -> None:
    assert seen_from_here(url, control) == seen
