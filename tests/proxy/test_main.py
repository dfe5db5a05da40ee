from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from badgateway_proxy import __main__ as command
from badgateway_proxy.admin.tokens import TokenError
from badgateway_proxy.configuration.config import HopConfig


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.main, list(arguments), prog_name="python -m badgateway_proxy")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[HopConfig]:
    configs: list[HopConfig] = []

    def remember(config: HopConfig) -> int:
        configs.append(config)
        return 0

    monkeypatch.setattr(command, "run_hop", remember)
    return configs


def test_options_make_a_configuration(started: list[HopConfig]) -> None:
    result = run(
        *("--name", "lb", "--tier", "lb", "--listen", "127.0.0.1:8081", "--admin", "[::1]:0"),
        *("--upstream", "http://127.0.0.1:9001", "--upstream", "127.0.0.1:9002"),
        *("--set", "timeouts.first_byte=1s", "--set", "retry.on=[reset, 5xx]", "--set", "debug=true"),
        *("--token-file", "/tmp/token", "--exit-with-stdin"),
    )
    assert result.exit_code == 0, result.output
    (config,) = started
    assert (config.name, config.tier) == ("lb", "lb")
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 8081)
    assert (config.admin.host, config.admin.port, config.admin.token_file) == ("::1", 0, "/tmp/token")
    assert config.upstreams == ("http://127.0.0.1:9001", "127.0.0.1:9002")
    assert (config.timeouts.first_byte, config.retry.on, config.debug) == (1.0, ("reset", "5xx"), True)
    assert config.exit_with_stdin


def test_options_go_before_the_file_and_set_before_both(tmp_path: Path, started: list[HopConfig]) -> None:
    file = tmp_path / "lb.yaml"
    file.write_text("name: file\ntier: lb\nupstreams: [127.0.0.1:1]\nlisten: {host: 127.0.0.9, port: 1}\n")
    assert run("--config", str(file), "--name", "option", "--set", "listen.port=3", "--set", "name=set").exit_code == 0
    (config,) = started
    assert (config.name, config.tier, config.upstreams) == ("set", "lb", ("127.0.0.1:1",))
    assert (config.listen.host, config.listen.port) == ("127.0.0.9", 3)


def test_all_problems_at_once_and_nothing_started(started: list[HopConfig]) -> None:
    result = run(
        *("--name", "my lb", "--set", "timeouts.conect=1s", "--set", "records", "--set", "pool=[", "--set", "name.x=1"),
        *("--set", "retry..attempts=1"),
    )
    assert result.exit_code == 2
    assert result.stdout == ""
    for problem in (
        "error: name: must be a letter",
        "error: timeouts.conect: unknown setting; did you mean connect?",
        "error: upstreams: is missing",
        "error: --set records: write it as",
        "error: --set pool:1:2 is no YAML",
        "error: name.x: name is not a mapping of settings",
        "error: --set retry..attempts=1: write it as",
        "Nothing was started.",
    ):
        assert problem in result.stderr
    assert "Traceback" not in result.stderr
    assert not started


@pytest.mark.parametrize("address", ["8081", "127.0.0.1", "127.0.0.1:x", ":80", "127.0.0.1:", "127.0.0.1:-1"])
def test_an_address_that_is_none(address: str) -> None:
    result = run("--listen", address)
    assert result.exit_code == 2
    assert "is no address; write it as 127.0.0.1:8081" in result.stderr


def test_a_port_out_of_range_is_a_problem_like_others() -> None:
    result = run("--listen", "127.0.0.1:99999", "--upstream", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "error: listen.port: " in result.stderr


def test_check_shows_what_would_run(started: list[HopConfig]) -> None:
    result = run("--check", "--upstream", "127.0.0.1:1", "--set", "admin.token=hidden")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["upstreams"] == ["127.0.0.1:1"]
    assert "hidden" not in result.output
    assert not started


def test_its_exit_status_is_the_hops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "run_hop", lambda config: 3)
    assert run("--upstream", "127.0.0.1:1").exit_code == 3


def test_a_token_file_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: HopConfig) -> int:
        raise TokenError("cannot use token file")

    monkeypatch.setattr(command, "run_hop", refuse)
    result = run("--upstream", "127.0.0.1:1")
    assert (result.exit_code, result.stderr) == (3, "error: cannot use token file\n")


def test_help_teaches() -> None:
    text = run("--help").stdout
    for word in ("Examples:", "Proxy-Status", "Exit status:", "--settings"):
        assert word in text


def test_lists_its_settings() -> None:
    assert "timeouts.first_byte (default 5s)\n" in run("--settings").stdout
