"""The commands that the waiting benchmark runs are commands that there are."""

import pytest
from click.testing import CliRunner

from badgateway.cli import cli
from badgateway.commands import run, up
from benchmarks import ready
from benchmarks.stage import free_port


def test_up_has_the_ports_that_are_set() -> None:
    words = [word for name in ready.TIERS for word in (f"--{name}-port", str(free_port()))]
    assert up.command.make_context("up", words).params["attach"] == ()


def test_run_has_all() -> None:
    assert run.command.make_context("run", ["--all"]) is not None


def test_two_neighbouring_ports_are_found() -> None:
    assert 1024 < ready.free_pair() < 65535


@pytest.mark.parametrize("command", ["up", "run"])
def test_help_answers(command: str) -> None:
    assert CliRunner().invoke(cli, [command, "--help"]).exit_code == 0
