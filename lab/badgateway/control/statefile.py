"""The state file of `badgateway up`: where the control API listens and its token, for the other commands.

`$XDG_RUNTIME_DIR/badgateway/lab.json`, or `~/.local/state/badgateway/lab.json` where that is not set; mode 0600,
written atomically, removed when the chain closes. One that a killed `up` left behind is noticed: its process is gone,
or its pid now belongs to a process that started later.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class LabState:
    """What the state file says.

    `started` is seconds since the epoch; `process_started` is the kernel's start time of `pid` in clock ticks since
    boot (0 where /proc does not tell), which unmasks a recycled pid.
    """

    control: str
    token: str
    pid: int
    started: float
    process_started: int = 0

    def is_alive(self) -> bool:
        """Whether the process that wrote this still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        now = process_start(self.pid)
        return not (self.process_started and now) or self.process_started == now

    def __str__(self) -> str:
        """What to say to somebody who wants a second chain."""
        return (
            f"a chain is running already: pid {self.pid}, control API {self.control}; "
            f"stop it with Ctrl-C there or `kill {self.pid}`"
        )


def this_process(control: str, token: str) -> LabState:
    """The state of a chain that the calling process has just brought up."""
    pid = os.getpid()
    return LabState(control, token, pid, time.time(), process_start(pid) or 0)


def process_start(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None if it is gone, a zombie, or this is no Linux (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def path() -> Path:
    """Where the state file is, or would be."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) if runtime and Path(runtime).is_dir() else Path.home() / ".local" / "state"
    return base / "badgateway" / "lab.json"


def read() -> LabState | None:
    """What the state file says, stale or not; None if there is none that can be read as one."""
    try:
        content = json.loads(path().read_text(encoding="utf-8"))
        return LabState(
            control=str(content["control"]),
            token=str(content["token"]),
            pid=int(content["pid"]),
            started=float(content["started"]),
            process_started=int(content.get("process_started", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def running() -> LabState | None:
    """The chain that runs now, by the state file; None if there is none, or the file is stale."""
    state = read()
    return state if state is not None and state.is_alive() else None


def claim(state: LabState) -> LabState | None:
    """Write the state file, replacing a stale one.

    Returns:
        None when written, or the state of the other chain that runs and keeps its file.

    Raises:
        OSError: the directory cannot be written.
    """
    target = path()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(target.parent):
        other = running()
        if other is not None:
            return other
        draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(state), file)
        draft.replace(target)
    return None


def release(state: LabState) -> None:
    """Remove the state file if it is still ours. Safe to call twice."""
    with contextlib.suppress(FileNotFoundError), _locked(path().parent):
        if read() == state:
            path().unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock: two `up` at once, or one that opens while another closes, take turns."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
