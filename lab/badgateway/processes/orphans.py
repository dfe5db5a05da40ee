"""Finding and killing what a run left behind when its fork server could not do so itself."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

MARKER: Final = "BADGATEWAY_RUN"
"""Environment variable that every process of a run has; its value is the run's id."""


def marked(run_id: str, variable: str = MARKER) -> list[int]:
    """Process ids of every process that was started with `variable` set to `run_id`, itself or by
    inheritance.

    Found in /proc by the environment: a pid can be a stranger's by now, that cannot. Empty where there is
    no /proc.
    """
    wanted = f"{variable}={run_id}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def kill_marked(run_id: str) -> bool:
    """Kill every process of `marked(run_id)`; whether there was any, which may take a moment to be gone."""
    found = marked(run_id)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)
