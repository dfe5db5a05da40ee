"""Looking at real processes in tests: what is left of a run, what state one is in, waiting until something
holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from badgateway.processes.orphans import MARKER, marked

POLL = 0.005


def state_of(pid: int) -> str | None:
    """The state letter of /proc/<pid>/stat (T: stopped, Z: zombie, S: sleeping, …); None if there is no
    such process.
    """
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def left_of(run_id: str, variable: str = MARKER) -> list[str]:
    """What is still running of a run, as text for an assertion's message. Zombies count: somebody forgot
    them.
    """
    found = []
    for pid in marked(run_id, variable):
        try:
            command = (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        found.append(f"{pid} {state_of(pid)} {command}")
    return found


async def until(condition: Callable[[], object], *, deadline: float = 30.0, what: str = "") -> None:
    """Wait until `condition()` is true; fail the test if it is not after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline:g} s: {what or condition}"
        await asyncio.sleep(POLL)


def wait_until(condition: Callable[[], object], *, deadline: float = 30.0, what: str = "") -> None:
    """As `until`, without an event loop."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline:g} s: {what or condition}"
        time.sleep(POLL)
