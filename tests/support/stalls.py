"""Takes every core away from everybody for a moment, again and again, as a busy host does to a virtual machine.

    .venv/bin/python -m tests.support.stalls --for 600 &
    make test

A test that passes beside this measures what it is about, and not the machine. Linux; needs root, for SCHED_FIFO.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator

PRIORITY = 90


def moments(seconds: float, stall: tuple[float, float], pause: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Begin and end of each stall, in seconds from now."""
    at = 0.0
    while True:
        at += random.uniform(*pause)
        end = at + random.uniform(*stall)
        if end > seconds:
            return
        yield at, end
        at = end


def hold(core: int, plan: list[tuple[float, float]]) -> None:
    """Take `core` from every other process in these moments."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    for begin, end in plan:
        time.sleep(max(0.0, begin - time.monotonic()))
        while time.monotonic() < end:
            pass


def main() -> None:
    """Stall the machine as told."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.stalls", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--for", dest="seconds", type=float, default=600.0, help="seconds in all (default: 600)")
    parser.add_argument("--stall", nargs=2, type=float, default=(0.2, 0.5), metavar=("LEAST", "MOST"), help="seconds")
    parser.add_argument("--pause", nargs=2, type=float, default=(1.5, 4.0), metavar=("LEAST", "MOST"), help="seconds")
    options = parser.parse_args()
    start = time.monotonic()
    plan = [(start + begin, start + end) for begin, end in moments(options.seconds, options.stall, options.pause)]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    first, *others = sorted(os.sched_getaffinity(0))
    for core in others:
        multiprocessing.Process(target=hold, args=(core, plan), daemon=True).start()
    try:
        hold(first, plan)
    except PermissionError:
        sys.exit("stalls need root: the scheduler gives SCHED_FIFO to nobody else (sched(7))")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
