"""A Ctrl-C is answered with exit code 130 and not a word, at whichever import it arrives."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.support.clitools import Cli

AT_IMPORT = textwrap.dedent(
    """
    import os, runpy, signal, sys
    _, module, *arguments = sys.argv
    class Interrupting:
        def find_spec(self, name, path=None, target=None):
            if name == module:
                sys.meta_path.remove(self)
                os.kill(os.getpid(), signal.SIGINT)
    sys.meta_path.insert(0, Interrupting())
    sys.argv = ["badgateway", *arguments]
    runpy.run_module("badgateway", run_name="__main__")
    """
)


@pytest.mark.parametrize(
    "module",
    [
        "badgateway.cli",
        "click",
        "badgateway.session.early",
        "badgateway.processes.forkserver",
        "badgateway.commands.run",
        "pydantic",
        "aiohttp",
    ],
)
def test_at_an_import(module: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    running = cli.start_other([sys.executable, "-c", AT_IMPORT, module, "run", "502/app-crashed"])
    assert (running.wait(), running.text) == (130, "")
    assert cli.leftovers() == []


def test_a_signal_that_somebody_has_ignored_stays_ignored() -> None:
    script = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    command = [sys.executable, "-c", AT_IMPORT, "badgateway.cli", "--version"]
    ran = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, timeout=90, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("badgateway ")


def test_the_console_script_and_the_module_are_the_same() -> None:
    (script,) = entry_points(group="console_scripts", name="badgateway")
    assert script.value == "badgateway.__main__:main"


def test_it_exits_with_the_commands_code() -> None:
    command = [sys.executable, "-m", "badgateway", "explain", "nothing"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("badgateway: nothing is known about")
