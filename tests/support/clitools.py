"""Running `badgateway` as its users do: as a process, in a directory of its own, with everything that it leaves found.

Every process of a run inherits an environment variable that only this run has, whatever becomes of its parents.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.processes import state_of, wait_until

MARKER = "BADGATEWAY_TEST"
ANY_PORTS = ("--cdn-port", "0", "--lb-port", "0", "--app-port", "0", "--control-port", "0")


class Running:
    """One command under way. Its lines are collected as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(stream, into), daemon=True)
            for stream, into in ((process.stdout, self.lines), (process.stderr, self.errors))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, into: list[str]) -> None:
        into.extend(line.rstrip("\n") for line in stream)
        stream.close()

    @property
    def text(self) -> str:
        """Everything it has said so far, for assertions' messages."""
        return "\n".join([*self.lines, *(f"stderr: {line}" for line in self.errors)])

    def until(self, words: str, deadline: float = 60) -> str:
        """Wait until a line holds `words`, and return it."""

        def found() -> bool:
            ended = self.process.poll() is not None
            return any(words in line for line in self.lines) or ended

        wait_until(found, deadline=deadline, what=f"{words!r} in:\n{self.text}")
        line = next((line for line in self.lines if words in line), None)
        assert line is not None, f"it ended without saying {words!r}:\n{self.text}"
        return line

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, deadline: float = 60) -> int:
        """Its exit status, once it has ended."""
        status = self.process.wait(deadline)
        for reader in self._readers:
            reader.join(deadline)
        return status


class Cli:
    """The command line, with a runtime directory and a place for temporary files that nobody else uses."""

    def __init__(self, directory: Path) -> None:
        self.run_id = uuid.uuid4().hex
        self.runtime, self.temporary = directory / "runtime", directory / "tmp"
        self.runtime.mkdir()
        self.temporary.mkdir()
        self._started: list[Running] = []
        self.state_file = self.runtime / "badgateway" / "lab.json"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BADGATEWAY")},
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.temporary),
            "PYTHONWARNINGS": "error",
            MARKER: self.run_id,
        }

    def start(self, *args: str, **options: Any) -> Running:
        """Start `badgateway ARGS` and return at once."""
        return self.start_other([sys.executable, "-m", "badgateway", *args], **options)

    def start_other(self, command: list[str], **options: Any) -> Running:
        """Start another command as part of this run."""
        usual = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": self.env,
        }
        self._started.append(Running(subprocess.Popen(command, text=True, **{**usual, **options})))
        return self._started[-1]

    def run(self, *args: str, deadline: float = 60, **options: Any) -> tuple[int, Running]:
        """Run `badgateway ARGS` to its end."""
        running = self.start(*args, **options)
        return running.wait(deadline), running

    def up(self, *args: str) -> Running:
        """Bring a chain up on free ports; returns when it is ready."""
        running = self.start("up", *ANY_PORTS, *args)
        running.until("ready", deadline=30)
        wait_until(lambda: "ready" in running.lines, what=running.text)
        return running

    @property
    def state(self) -> dict[str, Any]:
        """The state file of `up`."""
        state: dict[str, Any] = json.loads(self.state_file.read_text())
        return state

    def processes(self) -> list[str]:
        """What still runs of everything started here, zombies too: `pid state command`."""
        return [f"{pid} {state_of(pid)} {_command(pid)}" for pid in self._pids()]

    def leftovers(self) -> list[str]:
        """Processes, files of the state and temporary files that are still there."""
        files = [str(path) for top in (self.temporary, self.runtime) for path in top.rglob("*") if not path.is_dir()]
        return [*self.processes(), *files, *map(str, self.temporary.iterdir())]

    def kill_all(self) -> None:
        """End what is left; for a fixture's end."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for running in self._started:
            running.wait()

    def _pids(self) -> Iterator[int]:
        wanted = f"{MARKER}={self.run_id}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    yield int(process.name)


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return "gone"
