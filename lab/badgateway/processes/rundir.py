"""The directory of one run: the shop's database and one log file per process, gone when the lab closes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

TAIL_LINES = 8
TAIL_BYTES = 8192


class RunDir:
    """A private directory (mode 0700) under the system's place for temporary files."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="badgateway-"))
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
        return not self.path.exists()
