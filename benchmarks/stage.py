"""Where a benchmark plays: its processes, pinned to cores, its folder; all of it gone at the end."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class Child:
    """One process of a benchmark."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Its process id, which is its process group too."""
        return self.process.pid

    def ready(self, seconds: float = 20.0) -> dict[str, Any]:
        """Wait for its JSON ready line on stdout and return it.

        Raises RuntimeError with the end of its log if it ends or says nothing within ``seconds``.
        """
        stdout = self.process.stdout
        if stdout is None:
            raise RuntimeError("this process was started without a pipe for its ready line")
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                line = stdout.readline()
                if not line:
                    break
                event = json.loads(line)
                if event.get("event") == "ready":
                    return dict(event)
        raise RuntimeError(f"{self.process.args!r} did not get ready: {self.tail()}")

    def tail(self) -> str:
        """The end of what it wrote to stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()

    def cpu_seconds(self) -> float:
        """CPU time so far of the process and its living children (a proxy's workers), user and system."""
        return sum(_cpu_seconds(pid) for pid in [self.pid, *_children(self.pid)])

    def stop(self) -> None:
        """TERM, then KILL after 5 s; returns when it is gone."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Stage:
    """A context: ``folder`` is a private folder, ``spawn`` starts processes that end with the context."""

    def __init__(self) -> None:
        self.folder = Path()
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="badgateway-bench-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            child.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, argv: Sequence[str], *, cpu: int | None, env: Mapping[str, str] | None = None) -> Child:
        """Start a process, on one core unless ``cpu`` is None; stdin and stdout are pipes, stderr a file."""
        log = self.folder / f"{len(self._children)}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                env={**os.environ, **(env or {})},
                preexec_fn=lambda: _become_child(cpu),  # noqa: PLW1509  (there are no threads here)
                start_new_session=True,
            )
        child = Child(process, log)
        self._children.append(child)
        return child

    def python(self, module: str, *arguments: str, cpu: int) -> Child:
        """``python -m module arguments…`` with this interpreter."""
        return self.spawn([sys.executable, "-m", module, *arguments], cpu=cpu)

    def python_code(self, code: str, *arguments: str, cpu: int) -> Child:
        """``python -c code arguments…`` with this interpreter."""
        return self.spawn([sys.executable, "-c", code, *arguments], cpu=cpu)


def raise_file_limit(wanted: int) -> int:
    """Raise this process's (and its future children's) limit of open files; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free_port() -> int:
    """A loopback TCP port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for_port(port: int, child: Child, seconds: float = 10.0) -> None:
    """Return when something accepts on the port. Raises RuntimeError when the child ends or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and child.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise RuntimeError(f"{child.process.args!r} does not accept on port {port}: {child.tail()}")


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """This process itself on one core, for a benchmark that is its own client."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _become_child(cpu: int | None) -> None:
    """Between fork and exec: pin to the core, and end when the benchmark does, killed or not."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _cpu_seconds(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()  # the name, in brackets, may hold spaces: proc(5)
    return (int(fields[11]) + int(fields[12])) * _TICK
