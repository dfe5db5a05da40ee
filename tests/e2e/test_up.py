"""`badgateway up` and the commands that speak to it: faults, requests, ports, state file, every way of ending."""

import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from badgateway.commands.request import command
from badgateway.control.client import ControlClient
from badgateway.processes.ports import Reservations
from tests.support.clitools import ANY_PORTS, Cli
from tests.support.processes import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


def listener() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def test_it_says_where_everything_listens_and_writes_the_state_file_for_its_owner(cli: Cli) -> None:
    up = cli.up()
    text = up.text
    assert "you → cdn (ready) → lb (ready) → app (app-1 ready, app-2 ready)" in text
    for name in ("cdn", "lb", "app-1", "app-2"):
        assert re.search(rf"^{name} +http://127\.0\.0\.1:\d+  pid \d+$", text, re.MULTILINE), text
    assert text.count(cli.state["token"]) == 1
    assert text.count("try: badgateway ") == 3
    assert stat.S_IMODE(cli.state_file.stat().st_mode) == 0o600
    assert cli.state["pid"] == up.process.pid
    assert f"control  {cli.state['control']}  token" in text


def test_a_fault_is_set_seen_in_a_request_listed_and_cleared(cli: Cli) -> None:
    up = cli.up()
    status, ran = cli.run("request", "/products")
    assert (status, ran.errors) == (0, []), ran.text
    assert ran.lines[0].startswith("GET /products → 200 OK in ")
    assert ran.lines[-1] == "The app answered, and every hop relayed it."

    conditions = ("--when", "path=/order*", "--when", "header.X-User=1")  # neither is read as YAML
    status, ran = cli.run("fault", "set", "app", "reset_before_response", "--for", "5m", *conditions)
    assert status == 0, ran.text
    assert ran.lines[0].startswith("f-1: reset_before_response on app; expires in ")
    _, ran = cli.run("request", "/products")
    assert "→ 200 OK" in ran.lines[0]
    _, ran = cli.run("request", "/orders", "-H", "X-User: 1")
    assert "→ 502 Bad Gateway" in ran.lines[0]
    assert any("[[ lb DECIDED: answered 502, connection_terminated ]]" in line for line in ran.lines), ran.text
    assert ran.lines[-1].startswith("lb decided: ")

    _, ran = cli.run("fault", "list")
    assert re.fullmatch(
        r"f-1  app  reset_before_response when path=/order\* header\.X-User=1  fired 1 time, expires in \d+ s",
        ran.lines[0],
    )
    _, ran = cli.run("fault", "set", "app-1", "database_locked")
    told = "     app-1: another connection has begun a transaction (BEGIN EXCLUSIVE) and does not end it"
    assert ran.lines[1:] == [told]
    _, ran = cli.run("fault", "list")
    assert ran.lines[2:] == [told]
    _, ran = cli.run("fault", "clear")
    assert ran.lines == ["2 faults cleared"]
    _, ran = cli.run("fault", "list")
    assert ran.lines == ["no faults are set"]
    up.until("lb     GET /orders  502")
    assert re.search(r"lb     GET /orders  502 .*DECIDED here: connection_terminated", up.text)
    assert re.search(r"fault f-1 \(reset_before_response\) fires, number 1", up.text)
    assert re.search(r"app +fault f-1 \(reset_before_response\) cleared", up.text)


def test_what_was_killed_is_started_again_and_everything_put_back(cli: Cli) -> None:
    cli.up()
    status, ran = cli.run("fault", "set", "app", "crash")
    assert ran.lines == ["f-1: crash on app; app-1, app-2 dead until `badgateway restart app`"], ran.text
    _, ran = cli.run("request", "/")
    assert "→ 502 Bad Gateway" in ran.lines[0]
    status, ran = cli.run("restart", "app")
    assert (status, ran.lines) == (0, ["app restarted"]), ran.text
    _, ran = cli.run("request", "/")
    assert "→ 200 OK" in ran.lines[0]
    cli.run("fault", "set", "app", "hang")
    status, ran = cli.run("restart", "app-2")
    assert (status, ran.lines) == (0, ["app-2 restarted", "  f-2, hang at app-2, is over"]), ran.text
    status, ran = cli.run("fault", "set", "app-1", "crash_loop", "--for", "20s")
    assert "restart" not in ran.text, ran.text
    assert "expires in" in ran.text
    cli.run("fault", "clear")
    cli.run("fault", "set", "lb", "crash")
    status, ran = cli.run("restart")
    assert (status, ran.lines) == (0, ["everything is as it was started"]), ran.text
    _, ran = cli.run("request", "/")
    assert "→ 200 OK" in ran.lines[0]
    status, ran = cli.run("restart", "app-7")
    assert status == 2
    assert "app-7" in ran.errors[0]


def test_a_request_enters_where_it_is_told_and_comes_as_json(cli: Cli) -> None:
    cli.up()
    status, ran = cli.run("request", "POST", "/echo", "--to", "lb", "-d", "x=1", "-H", "X-Colour: blue", "--json")
    told = json.loads("\n".join(ran.lines))
    assert (status, told["status"], told["decided_by"], told["error"]) == (0, 200, "app", None)
    assert [hop["hop"] for hop in told["trace"]["hops"]] == ["lb"]
    assert ["X-Colour", "blue"] in json.loads(told["body"])["headers"]


def test_the_examples_in_the_help_of_request_are_answered(cli: Cli) -> None:
    cli.up()
    examples = [line.partition("|")[0] for line in (command.epilog or "").splitlines() if "badgateway request" in line]
    assert len(examples) == 4
    for example in examples:
        status, ran = cli.run(*shlex.split(example)[1:], *([] if "--json" in example else ["--json"]))
        assert status == 0, ran.text
        assert json.loads("\n".join(ran.lines))["status"] in (200, 201), example


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fault", "set", "app", "hangg"], "did you mean 'hang'?"),
        (["fault", "set", "lbb", "freeze"], 'did you mean "lb"?'),
        (["fault", "set", "ap", "hang"], 'did you mean "app"?'),
        (["restart", "zzz"], "known: app, app-1, app-2, cdn, lb"),
        (["fault", "set", "app", "latency", "latncy=1s"], "latncy"),
        (["fault", "set", "app", "latency", "latency=300"], "a duration needs a unit"),
        (["fault", "set", "app", "latency", "latency"], "KEY=VALUE"),
        (["fault", "set", "lb", "hang"], "crash"),
        (["fault", "clear", "f-9"], "'f-9'"),
        (["request", "/", "--to", "lbb"], 'did you mean "lb"?'),
        (["request", "products"], "write a request as"),
        (["request", "/", "-H", "nothing"], "NAME: VALUE"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(shared: Cli, args: list[str], said: str) -> None:
    status, ran = shared.run(*args)
    assert status == 2, ran.text
    assert ran.lines == []
    assert said in ran.errors[0]
    assert "Traceback" not in ran.text


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """One chain for all tests that leave it as it was."""
    cli = Cli(tmp_path_factory.mktemp("shared"))
    cli.up()
    yield cli
    cli.kill_all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_and_leaves_nothing(cli: Cli, number: signal.Signals) -> None:
    up = cli.up()
    up.send(number)
    assert up.wait() == 130, up.text
    assert up.errors == ["closing the chain"]
    assert cli.leftovers() == []


def test_it_ends_in_order_while_a_process_is_frozen_and_another_dead(cli: Cli) -> None:
    up = cli.up()
    cli.run("fault", "set", "lb", "freeze")
    cli.run("fault", "set", "app-1", "crash")
    up.send(signal.SIGINT)
    assert up.wait() == 130, up.text
    assert cli.leftovers() == []


def test_killed_it_leaves_no_process_and_its_stale_state_file_is_noticed_and_replaced(cli: Cli) -> None:
    first = cli.up()
    first.send(signal.SIGKILL)
    first.wait()
    wait_until(lambda: not cli.processes(), what=str(cli.processes()))
    assert cli.state_file.exists()

    status, ran = cli.run("request", "/")
    assert status == 3
    assert f"the chain of pid {first.process.pid} is gone" in ran.errors[0]

    second = cli.up()
    assert cli.state["pid"] == second.process.pid
    second.send(signal.SIGINT)
    assert second.wait() == 130
    assert not cli.state_file.exists()


def test_it_ends_with_words_when_its_fork_server_is_killed(cli: Cli) -> None:
    up = cli.up()
    server = min(int(line.split()[0]) for line in cli.processes() if "forkserver_main" in line)
    os.kill(server, signal.SIGKILL)
    assert up.wait() == 3, up.text
    assert f"badgateway: the fork server (pid {server}) was killed by SIGKILL" in up.errors[-1]
    assert cli.leftovers() == []


def test_a_second_one_is_told_which_pid_runs_and_leaves_the_first_alone(cli: Cli) -> None:
    first = cli.up()
    status, ran = cli.run("up", *ANY_PORTS)
    assert status == 3
    assert ran.errors[0].startswith(f"badgateway: a chain is running already: pid {first.process.pid}")
    status, ran = cli.run("request", "/")
    assert status == 0, ran.text


@pytest.mark.parametrize("option", ["--cdn-port", "--lb-port", "--app-port", "--control-port"])
def test_a_taken_port_is_told_with_whose_it_is_and_how_to_choose_another(cli: Cli, option: str) -> None:
    with closing(listener()) as taken:
        port = taken.getsockname()[1]
        status, ran = cli.run("up", *ANY_PORTS, option, str(port))
    assert status == 3
    assert f"127.0.0.1:{port} is in use by pid {os.getpid()}" in ran.errors[0]
    assert option in ran.errors[0]
    assert len(ran.errors) == 1
    assert cli.leftovers() == []


def test_with_no_chain_running_the_others_say_how_to_get_one(cli: Cli) -> None:
    for args in (["request", "/"], ["fault", "list"], ["fault", "set", "app", "hang"]):
        status, ran = cli.run(*args)
        assert status == 3
        assert ran.errors == ["badgateway: no chain is running; start one with `badgateway up` (in another terminal)"]


def test_a_chain_file_is_used_and_a_wrong_one_told_with_every_position(cli: Cli, tmp_path: Path) -> None:
    chain = tmp_path / "chain.yaml"
    chain.write_text("lb:\n  timeouts: {first_bite: 1s}\napp: {instances: none}\n")
    status, ran = cli.run("up", *ANY_PORTS, "--chain", str(chain))
    assert status == 2
    assert len(ran.errors) == 2, ran.text
    assert ran.errors[0].startswith(f"{chain}:2:14: lb.timeouts.first_bite: unknown key")
    assert cli.leftovers() == []
    chain.write_text("app: {instances: 1}\n")
    assert "app (app-1 ready)" in cli.up("--chain", str(chain)).text


def test_instances_are_as_many_as_asked_for(cli: Cli) -> None:
    assert "app (app-1 ready, app-2 ready, app-3 ready)" in cli.up("--instances", "3").text


def test_a_public_backend_is_refused_unless_one_insists(cli: Cli) -> None:
    status, ran = cli.run("up", *ANY_PORTS, "--backend", "http://8.8.8.8:80")
    assert status == 2
    assert "--allow-public" in ran.errors[0]


def test_a_backend_of_ones_own_is_relayed_to(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("from the real service")
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        found = re.search(r"port (\d+)", server.stdout.readline())
        assert found
        cli.up("--backend", f"http://127.0.0.1:{found[1]}")
        _, ran = cli.run("request", "/hello.txt", "--json")
        assert json.loads("\n".join(ran.lines))["body"] == "from the real service"
    finally:
        server.kill()
        server.communicate()


def test_a_reader_that_leaves_ends_it_quietly_and_in_order(cli: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    cut = cli.start("up", *ANY_PORTS, stdout=writing)
    os.close(writing)
    assert cut.wait() == 141, cut.text
    assert "Traceback" not in cut.text
    assert cli.leftovers() == []


def test_a_program_is_told_where_everything_is_and_ends_it_by_its_stdin(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    up = cli.start("up", "--free-ports", "--json", f"--ready-file={file}", "--exit-with-stdin", stdin=subprocess.PIPE)
    ready = json.loads(up.until('"event": "ready"'))
    assert json.loads(file.read_text()) == {key: value for key, value in ready.items() if key != "event"}
    assert ready["url"] == ready["urls"]["cdn"]
    assert not cli.state_file.exists()
    given = ("--control", ready["control"], "--token", ready["token"])
    status, ran = cli.run("fault", "set", "app", "hang", *given)
    assert status == 0, ran.text
    told = json.loads(up.until('"event": "fault"'))
    assert (told["node"], told["data"]["kind"], told["data"]["what"]) == ("app", "hang", "set")
    assert up.process.stdin is not None
    up.process.stdin.close()
    assert up.wait() == 0, up.text
    assert not file.exists()


def test_free_ports_are_for_those_that_are_not_given(cli: Cli) -> None:
    held = Reservations()
    lb, app, control = held.take(), held.take(), held.take()
    given = ("--lb-port", str(lb), "--app-port", str(app), "--control-port", str(control), "--instances", "1")
    up = cli.start("up", "--free-ports", "--json", *given)
    told = json.loads(up.until('"event": "ready"'))
    held.close()
    found = {name: urlsplit(url).port for name, url in {**told["urls"], "control": told["control"]}.items()}
    cdn = found.pop("cdn")
    assert found == {"lb": lb, "app-1": app, "control": control}
    assert cdn not in {0, 8080, lb, app, control}


def test_a_scenario_is_brought_up_as_it_breaks_and_again_after_a_reset(cli: Cli) -> None:
    cli.up("--scenario", "502/app-crashed")
    for _ in range(2):
        _, ran = cli.run("request", "/products")
        assert "→ 502 Bad Gateway" in ran.lines[0], ran.text
        _, ran = cli.run("fault", "list")
        assert "crash" in ran.text
        cli.run("restart")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scenario", "502"), "--scenario takes one scenario; '502' names "),
        (("--scenario", "502/app-crashed", "--chain", "chain.yaml"), "give --scenario or --chain, not both"),
        (("--ready-file", "nowhere/ready.json", "--free-ports"), "--ready-file nowhere/ready.json: No such file"),
        (("--free-ports", "--cdn-port=8081", "--lb-port=8081"), "--cdn-port and --lb-port both ask for port 8081"),
    ],
)
def test_options_that_cannot_be_are_refused(cli: Cli, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    (tmp_path / "chain.yaml").write_text("lb: {}\n")
    status, ran = cli.run("up", *options, cwd=tmp_path)
    assert status in {2, 3}
    assert words in ran.text


def test_the_cdn_alone_listens_on_another_address(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    up = cli.start("up", "--free-ports", "--json", f"--ready-file={file}", "--cdn-host", "0.0.0.0")
    ready = json.loads(up.until('"event": "ready"'))
    client = ControlClient(ready["control"], ready["token"])
    hosts = {hop: client.call("GET", f"hops/{hop}")["listen"]["host"] for hop in ("cdn", "lb")}
    assert hosts == {"cdn": "0.0.0.0", "lb": "127.0.0.1"}
    assert ready["url"].startswith("http://127.0.0.1:")
    with urllib.request.urlopen(ready["url"], timeout=30) as answer:
        assert answer.status == 200
