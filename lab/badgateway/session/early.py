"""Signals that come before there is an event loop: while a command imports its modules and its chain's server starts.

Nothing is imported here that takes time. Once there is a loop, `badgateway.session.interrupts` takes over.
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Final

from badgateway.session.exits import Interrupted

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a supervisor's request to end, and a terminal that was closed."""
ECHO = 0.5
"""Seconds within which further signals are the same one: `timeout` and shells send it to the process and its group."""


class _Latch:
    """Whether a signal came. Python may lose the exception that a handler raises (in a destructor, in a callback of an
    extension while it imports), so it is remembered too.
    """

    def __init__(self) -> None:
        self.received = False
        self._latest = float("-inf")

    def handle(self, _signum: int, _frame: FrameType | None) -> None:
        """Raise `Interrupted`, unless this is the echo of a signal that has done so."""
        self.received = True
        echo, self._latest = time.monotonic() - self._latest < ECHO, time.monotonic()
        if not echo:
            raise Interrupted


_latch: Final = _Latch()


def interrupt_anywhere() -> None:
    """From now on a signal of `SIGNALS` raises `Interrupted` wherever the program is."""
    for signum in SIGNALS:
        signal.signal(signum, _latch.handle)


def ignore_signals() -> None:
    """From now on nothing interrupts: the command is over, and only the interpreter's own end is left."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def received() -> bool:
    """Whether such a signal has come since."""
    return _latch.received
