"""An incident in a running chain is recorded, and happens again when its scenario is run."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from badgateway.control.client import ControlClient
from badgateway.scenario.model import load_scenarios
from tests.support.clitools import Cli, Running

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


def url_of(up: Running) -> str:
    return next(line.split()[1] for line in up.lines if line.startswith("cdn "))


def send(url: str, body: object = None, **headers: str) -> int:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_what_happened_happens_again(cli: Cli, tmp_path: Path) -> None:
    chain, file = tmp_path / "chain.yaml", tmp_path / "incident.yaml"
    chain.write_text("lb: {timeouts: {first_byte: 300ms}}\n")
    up = cli.up("--chain", str(chain))
    url = url_of(up)
    client = ControlClient(cli.state["control"], cli.state["token"])
    client.call("PATCH", "hops/lb", {"timeouts": {"connect": "333ms"}})
    recording = cli.start("record", str(file), "--title", "A hang, and a crash")
    recording.until("recording what cdn is asked")
    assert send(f"{url}/orders", {"product_id": 1, "quantity": 2}, Cookie="secret=1", **{"X-A": "1"}) == 201
    assert cli.run("fault", "set", "app", "hang", "--for", "1m")[0] == 0
    assert [send(f"{url}/products") for _ in range(2)] == [504, 504]
    assert cli.run("fault", "clear")[0] == 0
    client.call("PATCH", "hops/lb", {"retry": {"attempts": 2}})
    client.set_fault("app", {"kind": "empty_response", "when": {"instance": "app-1"}})
    assert [send(f"{url}/products") for _ in range(2)] == [200, 200]
    client.reset()
    client.set_fault("app", {"kind": "empty_response"})
    assert send(f"{url}/products") == 502
    client.clear_faults()
    assert cli.run("fault", "set", "lb", "crash")[0] == 0
    assert send(f"{url}/products") == 502
    recording.send(signal.SIGINT)
    assert recording.wait() == 0, recording.text
    assert recording.lines[-1:] == [f"{file}: 7 requests, 9 orders; replay: badgateway run {file}"]
    assert "secret" not in file.read_text()
    assert "- patch: {lb: {timeouts: {connect: 333ms}}}" in file.read_text()
    assert "Left out of the requests: cookie." in file.read_text()

    [scenario] = load_scenarios([file])
    assert (scenario.code, scenario.title) == (504, "A hang, and a crash")
    up.send(signal.SIGTERM)
    up.wait()
    status, ran = cli.run("run", "-v", str(file))
    assert status == 0, ran.text
    assert sum("held decided_by: lb" in line for line in ran.lines) == 2
    status, ran = cli.run("run", str(file), "--without-cause")
    assert status == 0, ran.text
    assert cli.leftovers() == []


def test_what_was_done_before_comes_first(cli: Cli, tmp_path: Path) -> None:
    up, file = cli.up(), tmp_path / "r.yaml"
    client = ControlClient(cli.state["control"], cli.state["token"])
    client.call("PATCH", "hops/lb", {"balancing": {"drain": ["app-1"]}})
    client.stop("app-1")
    client.set_fault("app-2", {"kind": "crash"})
    recording = cli.start("record", str(file))
    recording.until("recording what cdn is asked")
    assert send(f"{url_of(up)}/products") == 502
    recording.send(signal.SIGINT)
    assert recording.wait() == 0, recording.text
    steps = [line.strip(" -").partition(":") for line in file.read_text().splitlines() if line.startswith("  - ")]
    assert [step[0] for step in steps] == ["patch", "stop", "fault", "request"]
    assert "drain: [app-1]" in steps[0][2]
    status, ran = cli.run("run", str(file))
    assert status == 0, ran.text


def test_it_stops_by_itself_and_leaves_the_chain_as_it_was(cli: Cli, tmp_path: Path) -> None:
    up = cli.up()
    recording = cli.start("record", str(tmp_path / "r.yaml"), "--for", "1500ms")
    recording.until("recording what cdn is asked")
    assert send(f"{url_of(up)}/products") == 200
    assert recording.wait() == 0, recording.text
    up.until("patch cdn keep_request None")


def test_what_cannot_be_recorded_is_told(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    status, ran = cli.run("record", str(file))
    assert status == 3
    assert "no chain is running" in ran.text
    up = cli.up()
    file.write_text("mine")
    status, ran = cli.run("record", str(file))
    assert (status, file.read_text()) == (2, "mine")
    assert "--force writes over it" in ran.text
    status, ran = cli.run("record", str(file), "--force", "--for", "100ms")
    assert (status, file.read_text()) == (2, "mine")
    assert "no request came while it was recorded" in ran.text
    status, ran = cli.run("record", str(file), "--for", "soon")
    assert status == 2
    recording = cli.start("record", str(tmp_path / "other.yaml"))
    recording.until("recording what cdn is asked")
    up.send(signal.SIGKILL)
    assert recording.wait() == 3
    assert not (tmp_path / "other.yaml").exists()
