"""`badgateway demo`, as a newcomer runs it: in a pipe, in a terminal, interrupted, cut off."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clitools import Cli
from tests.support.processes import wait_until

TITLES = [
    "All is well: 200",
    "Every app is killed: 502 at the LB",
    "The apps are started again: 200",
    "The app hangs: 504 at the LB's deadline",
    "The LB is frozen: 504 at the CDN",
    "The LB is killed: 502 at the CDN",
    "The app answers garbage: 502, with its first bytes",
    "The response is cut in the middle: the client sees it",
    "The breaker opens: 503 with Retry-After",
    "The clock is advanced: half-open, two probes, closed: 200",
]

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


def test_in_a_pipe_all_ten_scenes_hold_in_plain_lines_and_nothing_is_left(cli: Cli) -> None:
    started = time.monotonic()
    status, ran = cli.run("demo")
    assert status == 0, ran.text
    assert time.monotonic() - started < 30
    assert ran.errors == []
    text = "\n".join(ran.lines)
    for number, title in enumerate(TITLES, start=1):
        assert f"[{number}/10] {title}" in text
    assert "NOT HELD" not in text
    assert re.search(r"All 10 scenes held \(\d+ checks\) in \d+\.\d s\.", text)
    assert "\x1b" not in text
    assert cli.leftovers() == []
    _says_who_decided_what_proves_it_and_what_was_seen(text)


def _says_who_decided_what_proves_it_and_what_was_seen(text: str) -> None:
    assert "[[ lb DECIDED: answered 502, connection_refused ]] → app (app-1 killed, app-2 killed)" in text
    assert "[[ cdn DECIDED: answered 504, http_response_timeout ]] → lb (frozen)" in text
    assert "[[ cdn DECIDED: answered 502, connection_refused ]] → lb (killed)" in text
    assert re.search(r"proof  f-1 crash: app-1 \(pid \d+\) was killed by SIGKILL", text)
    assert re.search(r"first bytes: .*\\x", text)
    assert re.search(r"cut short: received \d+ of \d+ bytes", text)
    assert "no attempt made" in text
    assert re.search(r"no connection was made to the app: (\d+) before, \1 after", text)


def in_terminal(cli: Cli, *args: str, **env: str) -> tuple[int, str]:
    """Run a command in a pseudo terminal, and return its exit status and all that it wrote."""
    ours, theirs = pty.openpty()
    running = cli.start(
        *args, stdin=theirs, stdout=theirs, stderr=theirs, env={**cli.env, "TERM": "xterm-256color", **env}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux: EIO once the last process has closed its side
            break
        if not chunk:
            break
        written += chunk
    os.close(ours)
    return running.wait(), written.decode()


def test_on_a_terminal_it_is_drawn_with_the_deciding_hop_marked(cli: Cli) -> None:
    status, text = in_terminal(cli, "demo", COLUMNS="110")
    assert status == 0, text
    assert text.count("◀ DECIDED") == len(TITLES)
    assert "\x1b[" in text
    assert "╭" in text
    assert "phases: " in text
    assert cli.leftovers() == []


def test_no_color_is_honoured_on_a_terminal(cli: Cli) -> None:
    status, text = in_terminal(cli, "demo", COLUMNS="110", NO_COLOR="1")
    assert status == 0, text
    assert "╭" in text
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", text), "a colour code"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_closes_the_chain_and_says_130(cli: Cli, number: signal.Signals) -> None:
    ran = cli.start("demo")
    ran.until("[4/10]")
    ran.send(number)
    assert ran.wait() == 130, ran.text
    assert "Traceback" not in ran.text
    assert cli.leftovers() == []


def test_killed_it_leaves_no_process(cli: Cli) -> None:
    ran = cli.start("demo")
    ran.until("[4/10]")
    ran.send(signal.SIGKILL)
    ran.wait()
    wait_until(lambda: not cli.processes(), what=str(cli.processes()))


def test_a_reader_that_leaves_ends_it_quietly_and_in_order(cli: Cli) -> None:
    command = ["sh", "-c", '"$0" -m badgateway demo | head -2', sys.executable]
    ran = subprocess.run(command, env=cli.env, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stderr == ""
    assert ran.stdout.count("\n") == 2
    wait_until(lambda: not cli.leftovers(), what=str(cli.leftovers()))
