"""Running the commands of a page as its reader would: one shell for each session, and the same files.

The documentation names the default ports. A test must not take them, so the ports are replaced by free ones in the
commands, and back again in what they print; `badgateway up` is given them as options. Nothing else is changed.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.support.docs import ROOT
from tests.support.docs.markdown import Block, Command, commands, console

DOCUMENTED = (8080, 8081, 8500, 9001, 9002, 9500, 3000)
"""The ports that the documentation names."""

DEADLINE = 40.0
"""Seconds for one command."""

_END = "=== end of the command, status"
_READY = re.compile(r'^ready$|"event": ?"ready"|^Serving ')
_UP = re.compile(r"\bbadgateway up\b")
_MAKE = re.compile(r"(?m)^make ")
_MAKE_HERE = f"make --no-print-directory -C {ROOT} -o {sys.prefix}/.ready "
"""In the checkout, and without setting up anew the venv that runs this."""


class CommandFailedError(Exception):
    """A command did not end as its reader is told."""


class Session:
    """A shell in a directory of its own. Use as a context manager; its end ends everything that it started."""

    def __init__(self, directory: Path, packages: Sequence[Path] = ()) -> None:
        """`packages`: folders of packages that go before those of the checkout."""
        self._directory = directory
        self._ports = _free_ports()
        self._environment = _environment(directory, self._up_options, packages)
        self._background: list[subprocess.Popen[str]] = []
        self._shell = self._start(["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in [self._shell, *reversed(self._background)]:
            _end(process)

    def play(self, block: Block) -> str:
        """Do what the block says; returns its text as it should be.

        Raises:
            CommandFailedError: a command of an `sh` block failed, or one did not end in time.
        """
        if name := block.file or block.appended_to:
            with (self._directory / name).open("a" if block.appended_to else "w", encoding="utf-8") as file:
                file.write(self._with_our_ports(block.text))
            return block.text
        if block.background:
            return self._play_in_background(block)
        if block.language == "console":
            return console([Command(c.text, self._run(c.text)[0]) for c in commands(block.text)])
        output, status = self._run(f"set -e\n{block.text}\nset +e")
        if status:
            raise CommandFailedError(f"exit status {status}:\n{block.text}\n{output}")
        return block.text

    def _play_in_background(self, block: Block) -> str:
        (command,) = commands(block.text) if block.language == "console" else [Command(block.text.strip(), "")]
        process = self._start(["bash", "-c", self._as_run(command.text)], stdin=subprocess.DEVNULL)
        self._background.append(process)
        output = self._with_documented_ports("\n".join(_until(process, _READY)))
        return console([Command(command.text, output)]) if block.language == "console" else block.text

    def _run(self, command: str) -> tuple[str, int]:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{{ {self._as_run(command)}\n}} </dev/null\nprintf '\\n%s %s\\n' '{_END}' $?\n")
        self._shell.stdin.flush()
        *lines, end = _until(self._shell, re.compile(re.escape(_END)))
        return self._with_documented_ports("\n".join(lines)).strip("\n"), int(end.removeprefix(_END))

    def _start(self, arguments: Sequence[str], *, stdin: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._directory,
            env=self._environment,
            start_new_session=True,
        )

    @property
    def _up_options(self) -> str:
        chosen = {"cdn": 8080, "lb": 8081, "control": 8500, "app": 9001}
        return " ".join(f"--{name}-port {self._ports[port]}" for name, port in chosen.items())

    def _as_run(self, command: str) -> str:
        return _MAKE.sub(_MAKE_HERE, _UP.sub(f"badgateway up {self._up_options}", self._with_our_ports(command)))

    def _with_our_ports(self, text: str) -> str:
        return _ports_replaced(text, self._ports)

    def _with_documented_ports(self, text: str) -> str:
        return _ports_replaced(text, {ours: documented for documented, ours in self._ports.items()})


@contextmanager
def session(directory: Path, blocks: Iterable[Block]) -> Iterator[Session]:
    """A session for these blocks, whose own files lie in `directory`; where they say so, in a copy of the checkout."""
    (directory / "run").mkdir(mode=0o700)
    work = directory / "work"
    work.mkdir()
    sources: list[Path] = []
    if any(block.checkout for block in blocks):
        for name in ("proxy", "upstream"):
            shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
            sources.append(work / name)
    with Session(work, sources) as started:
        yield started


_VARYING = (
    (re.compile(r"\|[.cswra]+\|"), "|bar|"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s)\b"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{16}([0-9a-f]{16})?\b"), "ID"),
    (re.compile(r'(\bpid "?:? ?|"pid": )\d+'), r"\1PID"),
    (re.compile(r"\btoken \S+"), "token TOKEN"),
    (re.compile(rf"127\.0\.0\.1:(?!(?:{'|'.join(map(str, DOCUMENTED))})\b)\d{{4,5}}"), "ADDRESS"),
    (re.compile(r"\b\d+(\.\d{2,}|(\.\d+)?e-\d+)"), "NUMBER"),
    (re.compile(r'("duration": |"expires_in": |\btime=")\d+(\.\d+)?'), r"\1NUMBER"),
    (re.compile(r"(?m)^Date: .*$"), "Date: DATE"),
    (re.compile(r'\btimestamp="[^"]*"'), "TIMESTAMP"),
    (re.compile(r"\b\d{1,3}(\.\d)? (checks)"), r"N \2"),
)


def settled(text: str) -> str:
    """Output without what differs from run to run: times, ids, process numbers, free ports, bars of the waterfall."""
    for pattern, stands_for in _VARYING:
        text = pattern.sub(stands_for, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _environment(directory: Path, up_options: str, packages: Sequence[Path]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BADGATEWAY")}
    return {
        **kept,
        # as in an activated venv of `make setup`
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_RUNTIME_DIR": str(directory.parent / "run"),
        "PYTHONPATH": os.pathsep.join(map(str, packages)),
        "PYTHONUNBUFFERED": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
        # make uses this Python's venv
        "VENV": sys.prefix,
        "UP": up_options,
    }


def _free_ports() -> Mapping[int, int]:
    """A free port for each documented one, below those that the kernel hands out; app-2's is the one after app-1's."""
    taken: dict[int, int] = {}
    while len(taken) < len(DOCUMENTED):
        documented = DOCUMENTED[len(taken)]
        port = taken[9001] + 1 if documented == 9002 else random.randrange(12_000, 32_000)
        if port not in taken.values() and _is_free(port):
            taken[documented] = port
        elif documented == 9002:
            del taken[9001]
    return taken


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ports_replaced(text: str, ports: Mapping[int, int]) -> str:
    pattern = re.compile(rf"(?<![\d.])(?:{'|'.join(map(str, ports))})(?!\d)")
    return pattern.sub(lambda found: str(ports[int(found[0])]), text)


def _until(process: subprocess.Popen[str], end: re.Pattern[str]) -> list[str]:
    """The lines that a process prints, up to the one that `end` is found in."""
    assert process.stdout is not None
    late = threading.Timer(DEADLINE, _kill, [process])
    late.start()
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if end.search(lines[-1]):
                return lines
    finally:
        late.cancel()
    raise CommandFailedError("it ended, or took too long, having said:\n" + "\n".join(lines))


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    end = time.monotonic() + 10
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=max(0.1, end - time.monotonic()))
    _kill(process)
    process.wait()


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
