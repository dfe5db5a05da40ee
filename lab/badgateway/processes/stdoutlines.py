"""The lines that a child process prints on its stdout, each handed on as soon as it is complete."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

CHUNK = 65536
LONGEST_LINE = 1 << 20
"""Bytes. A longer line is dropped: no event is that long, and memory is not for a child to fill."""


class StdoutLines:
    """Reads a pipe without blocking; owns its descriptor.

    `drain` exists because what a process wrote before we saw an effect of it is in the pipe already:
    reading it then puts the cause before the effect, whatever order the event loop would have chosen.
    """

    def __init__(self, descriptor: int, on_line: Callable[[str], None]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._on_line = on_line
        self._partial = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)

    def drain(self) -> None:
        """Hand on every complete line that is in the pipe."""
        while self._descriptor >= 0 and self._read():
            pass

    def close(self) -> None:
        """Stop reading. May be called twice."""
        if self._descriptor >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._on_line(line.decode(errors="replace"))
        if len(self._partial) > LONGEST_LINE:
            self._partial = b""
        return True
