"""The directory of one run: the shop's database and one log file per process, gone when the lab closes.

It also goes when the lab is killed: its fork server deletes it then. Where both were killed at once, the next lab
does. A directory's owner holds a lock (flock(2)) on a file in it, which the kernel takes back when the owner dies,
however that happens; so a free lock says that nobody needs the directory any more, and a process id that went to
somebody else cannot mislead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PREFIX = "badgateway-"
LOCK = "owner.lock"
TAIL_LINES = 8
TAIL_BYTES = 8192


class RunDir:
    """A private directory (mode 0700) under the system's place for temporary files.

    `announce` hears its path before anything is there: whoever deletes it if we are killed has to know of it first.
    """

    def __init__(self, announce: Callable[[Path], None] = lambda path: None) -> None:
        temporary = Path(tempfile.gettempdir())
        remove_abandoned(temporary)
        self.path = temporary / f"{PREFIX}{uuid.uuid4().hex}"
        announce(self.path)
        self.path.mkdir(mode=0o700)
        self._lock = _lock_new(self.path)
        (self.path / "logs").mkdir()

    @property
    def database(self) -> Path:
        """The SQLite file that all instances share."""
        return self.path / "shop.sqlite3"

    def log(self, name: str) -> Path:
        """Where the stderr of the process called `name` goes."""
        return self.path / "logs" / f"{name}.log"

    def log_tail(self, name: str) -> str:
        """The last lines of a process's log, for an error message; empty if it has written none."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.strip().splitlines()[-TAIL_LINES:])

    def remove(self) -> bool:
        """Delete the directory and all in it; whether it is gone. May be called twice.

        A process that was killed a moment ago may still have been writing, so what vanishes meanwhile is no error.
        """
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return not self.path.exists()


def _lock_new(directory: Path) -> int:
    """Make the lock file, locked from the first moment that it has its name; returns the descriptor that holds it."""
    unnamed = directory / f"{LOCK}.new"
    descriptor = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unnamed.rename(directory / LOCK)
    return descriptor


def remove_abandoned(temporary: Path) -> list[Path]:
    """Delete the directories of runs whose owner is gone; returns them. What is not certainly ours is left alone."""
    found = []
    for directory in temporary.glob(f"{PREFIX}*"):
        with suppress(OSError):  # it went away meanwhile, or is somebody else's
            if _is_private(directory) and _is_abandoned(directory / LOCK):
                shutil.rmtree(directory, ignore_errors=True)
                found.append(directory)
    return found


def _is_private(directory: Path) -> bool:
    """Whether it is a directory (no link to one) that this user made for itself alone."""
    status = directory.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700


def _is_abandoned(lock: Path) -> bool:
    descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
