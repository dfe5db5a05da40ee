"""`badgateway up --attach`: a chain that somebody else runs."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from badgateway.control.client import ControlClient
from tests.support.clitools import ANY_PORTS, Cli, Running
from tests.support.processes import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


class Attached:
    """A chain of one hop and one instance, each started by hand, as containers do it."""

    def __init__(self, cli: Cli) -> None:
        self.process, self.app, app_admin = self._start(cli, "badgateway_upstream", "--name=app-1")
        _, self.lb, lb_admin = self._start(cli, "badgateway_proxy", "--name=lb", "--tier=lb", f"--upstream={self.app}")
        self.options = ["--attach", f"lb=http://{lb_admin},http://{self.lb}", "--attach", f"app-1=http://{app_admin}"]

    @staticmethod
    def _start(cli: Cli, module: str, *args: str) -> tuple[Running, str, str]:
        command = [sys.executable, "-m", module, *args, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]
        env = {**cli.env, "BADGATEWAY_TOKEN": "shared-token"}
        process = cli.start_other(command, env=env)
        ready = json.loads(process.until('"ready"'))
        return process, str(ready["listen"]), str(ready["admin"])


def test_attached_it_controls_processes_that_are_somebody_elses(cli: Cli) -> None:
    chain = Attached(cli)
    up = cli.up("--token", "shared-token", *chain.options)
    assert f"lb       http://{chain.lb}" in up.text
    assert f"app-1    http://{chain.app}" in up.text
    status, ran = cli.run("fault", "set", "app", "reset_before_response")
    assert status == 0, ran.text
    _, ran = cli.run("request", "/products", "--to", "lb")
    assert any("[[ lb DECIDED: answered 502, connection_terminated ]]" in line for line in ran.lines), ran.text
    status, ran = cli.run("fault", "set", "lb", "crash")
    assert status == 2
    assert "somebody else" in ran.errors[0]
    up.send(signal.SIGINT)
    assert up.wait() == 130


@pytest.mark.parametrize("fault", [("crash",), ("exit", "--when", "path=/products")])
def test_a_fault_that_ends_an_attached_process_is_known_by_nobody_answering(cli: Cli, fault: tuple[str, ...]) -> None:
    chain = Attached(cli)
    cli.up("--token", "shared-token", *chain.options)
    client = ControlClient(cli.state["control"], cli.state["token"])
    status, ran = cli.run("fault", "set", "app-1", *fault)
    assert status == 0, ran.text
    status, ran = cli.run("request", "/products", "--to", "lb")
    assert "→ 502 Bad Gateway" in ran.lines[0], ran.text
    wait_until(lambda: client.fault("f-1")["fired"], what="the lab to notice")
    _, ran = cli.run("fault", "list")
    assert f"f-1  app-1  {fault[0]} " in ran.text
    assert "fired 1 time," in ran.text
    client.clear_faults()
    [told] = client.call("GET", "faults", query={"ended": "true"})
    assert (told["active"], told["fired"], told["proof"]) == (False, 1, "app-1 refuses connections to its admin port")


def test_a_process_that_goes_for_another_reason_is_no_firing(cli: Cli) -> None:
    """A fault that waits for its request, and would not have ended the process."""
    chain = Attached(cli)
    cli.up("--token", "shared-token", *chain.options)
    client = ControlClient(cli.state["control"], cli.state["token"])
    client.set_fault("app-1", {"kind": "disk_full", "when": {"path": "/never"}})
    chain.process.send(signal.SIGKILL)
    chain.process.wait()
    _, ran = cli.run("fault", "list")
    assert "fired no times," in ran.text, ran.text


def test_an_attached_process_that_is_frozen_fires_once(cli: Cli) -> None:
    chain = Attached(cli)
    cli.up("--token", "shared-token", *chain.options)
    client = ControlClient(cli.state["control"], cli.state["token"])
    assert client.set_fault("app-1", {"kind": "freeze", "for": "3s"})["fired"] == 1
    wait_until(lambda: not client.faults(), what="it to expire")
    status, ran = cli.run("request", "/products", "--to", "lb")
    assert status == 0, ran.text
    assert client.fault("f-1")["fired"] == 1


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["--token", "wrong", "$chain"], 3, "refuses us (401)"),
        (["$chain"], 2, "needs the token"),
        (["--token", "t", "--attach", "lb=http://127.0.0.1:9"], 3, "lb: no admin API of badgateway answers"),
        (["--token", "shared-token", "$unsaid"], 3, "chose its port itself, so say it: --attach lb=http://127.0.0.1:"),
        (["--token", "t", "--attach", "lb"], 2, "NAME=http://HOST:PORT"),
        (["--token", "t", "--attach", "web=http://127.0.0.1:9"], 2, "cdn, lb, app and app-1"),
        (["--token", "t", "--instances", "2", "--attach", "lb=http://127.0.0.1:9"], 2, "start new ones"),
    ],
)
def test_what_cannot_be_attached_is_told(cli: Cli, args: list[str], status: int, said: str) -> None:
    options = Attached(cli).options if args[-1] in {"$chain", "$unsaid"} else []
    if "$unsaid" in args:
        options = [option.partition(",")[0] for option in options]
    got, ran = cli.run("up", *ANY_PORTS, *(arg for arg in args if not arg.startswith("$")), *options)
    assert got == status, ran.text
    assert said in ran.errors[0]
