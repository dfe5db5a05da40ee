"""This process's memory: running into its limit, and growing until somebody else kills it.

Two ends of the same mistake. Under a limit on address space (RLIMIT_AS, ``ulimit -v``) the kernel refuses an
allocation, and Python raises MemoryError, which a handler survives. A container's or a machine's memory limit refuses
nothing; beyond it the process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import resource
import subprocess
import time
from typing import Final

MIB: Final = 1 << 20
MOST: Final = 100
"""MiB that a fault may allocate."""
#: glibc maps what is larger than 32 MiB (DEFAULT_MMAP_THRESHOLD_MAX) by itself, and gives it back once it is freed.
_PIECE: Final = 33 * MIB
_UNUSED: Final = 512 * MIB
_STEP: Final = 0.02
_PATIENCE: Final = 5.0

_WATCHDOG: Final = """
exec 3>&2 2>/dev/null
while read -r _ pages _ < "/proc/$1/statm" && [ "$pages" -gt 0 ]; do
    if [ "$pages" -gt "$2" ]; then
        kill -KILL "$1"
        echo "memory watchdog: killed pid $1, which had $pages pages resident of the $2 that it may have" >&3
        exit
    fi
    sleep 0.02
done
"""


def resident() -> int:
    """Bytes of this process that are in memory."""
    return _statm(1)


def exceed_address_space(room: int) -> None:
    """Allocate until the kernel refuses: the limit is ``room`` bytes above what is in use now. Raises MemoryError.

    The limit is in force for this call only, and nothing of what was allocated outlives the exception.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _statm(0) + room
    for other in (soft, hard):
        if other != resource.RLIM_INFINITY:
            limit = min(limit, other)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        _hoard(room)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _hoard(most: int) -> None:
    rows: list[bytearray] = []
    # Some of it may come from what the process has and does not use; beyond that the kernel must refuse.
    while len(rows) * _PIECE <= most + _UNUSED:
        rows.append(bytearray(_PIECE))
    raise OSError("the kernel allocated more than RLIMIT_AS allows")


def _statm(field: int) -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[field]) * resource.getpagesize()


def _touched(amount: int) -> mmap.mmap:
    """Memory straight from the kernel, each page written to: so it is resident, and gone once it is closed."""
    piece = mmap.mmap(-1, amount)
    for start in range(0, amount, mmap.PAGESIZE):
        piece[start] = 1
    return piece


class Leak:
    """Memory that is allocated, written to and kept; and the watchdog that kills the process for it.

    No unprivileged process can have itself killed by the kernel for its memory, so another process does it, as
    systemd-oomd or a container's runtime would: it looks at /proc/PID/statm and sends SIGKILL.
    """

    def __init__(self) -> None:
        self._held: list[mmap.mmap] = []
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, amount: int, over: float, limit: int | None) -> str:
        """Grow by ``amount`` bytes within ``over`` seconds; the watchdog kills at ``limit`` bytes of growth.

        Returns what shows it. With ``over`` 0 it grows at once, and where it is to be killed it does not return.
        Raises OSError when the watchdog cannot be started, or does not do its work.
        """
        if self._held or self._watchdog is not None:
            return f"{resident() // MIB} MiB are resident"
        before = resident()
        if limit is not None:
            self._watch(before + limit)
        if over:
            self._grow(amount, over, time.monotonic())
        else:
            self._held.append(_touched(amount))
        if limit is not None and not over and amount > limit:
            time.sleep(_PATIENCE)  # there is nothing to do but to be killed
            raise OSError(f"nobody killed this process for its memory within {_PATIENCE:g} s")
        watched = "" if limit is None else f"; beyond {(before + limit) // MIB} MiB a watchdog kills"
        return f"resident memory grows from {before // MIB} MiB by {amount // MIB} MiB{watched}"

    def end(self) -> None:
        """Free it all, and call the watchdog off. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for piece in self._held:
            piece.close()
        self._held.clear()
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()
            self._watchdog = None

    def _watch(self, limit: int) -> None:
        pages = limit // resource.getpagesize()
        # What it says goes to our log, as descriptor 3; what the shell says of a process that is gone does not.
        self._watchdog = subprocess.Popen(  # noqa: S603 - a constant program and two numbers
            ["/bin/sh", "-c", _WATCHDOG, "badgateway-memory", str(os.getpid()), str(pages)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def _grow(self, amount: int, over: float, began: float) -> None:
        due = min(amount, int(amount * (time.monotonic() - began + _STEP) / over))
        missing = due - sum(len(piece) for piece in self._held)
        if missing > 0:
            with contextlib.suppress(OSError):
                self._held.append(_touched(missing))
        if due < amount:
            self._timer = asyncio.get_running_loop().call_later(_STEP, self._grow, amount, over, began)
