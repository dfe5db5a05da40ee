"""`badgateway up --attach`: a chain that somebody else runs."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clitools import ANY_PORTS, Cli

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


class Attached:
    """A chain of one hop and one instance, each started by hand, as containers do it."""

    def __init__(self, cli: Cli) -> None:
        self.app, app_admin = self._start(cli, "badgateway_upstream", "--name=app-1")
        self.lb, lb_admin = self._start(cli, "badgateway_proxy", "--name=lb", "--tier=lb", f"--upstream={self.app}")
        self.options = ["--attach", f"lb=http://{lb_admin},http://{self.lb}", "--attach", f"app-1=http://{app_admin}"]

    @staticmethod
    def _start(cli: Cli, module: str, *args: str) -> tuple[str, str]:
        command = [sys.executable, "-m", module, *args, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]
        env = {**cli.env, "BADGATEWAY_TOKEN": "shared-token"}
        process = cli.start_other(command, env=env)
        ready = json.loads(process.until('"ready"'))
        return str(ready["listen"]), str(ready["admin"])


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
