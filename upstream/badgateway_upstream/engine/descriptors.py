"""This process's file descriptors: how many it may have, and having none left."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any


class Descriptors:
    """Lowers RLIMIT_NOFILE and takes what is left below it; gives all of it back.

    The soft limit is lowered, which any process may undo up to its hard limit (getrlimit(2)).
    """

    def __init__(self) -> None:
        self._usual: tuple[int, int] | None = None
        self._held: list[int] = []

    @property
    def exhausted(self) -> bool:
        """Whether they are used up on purpose."""
        return self._usual is not None

    def state(self) -> dict[str, int]:
        """How many are open, and how many may be."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        with self.beyond(), os.scandir("/dev/fd") as listed:
            return {"open": sum(1 for _ in listed) - 1, "limit": limit}  # without the one that is open for listing

    def exhaust(self, limit: int) -> str:
        """Lower the limit to ``limit`` (never raise it), open files until the kernel refuses; return what shows it."""
        if self._usual is None:
            self._usual = resource.getrlimit(resource.RLIMIT_NOFILE)
            soft, hard = self._usual
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, soft), hard))
        refused = self.take_the_rest()
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return (
            f"RLIMIT_NOFILE is {soft}, {len(self._held)} files were opened and not closed, and open() says: {refused}"
        )

    def take_the_rest(self) -> str:
        """Open files until the kernel refuses; return how it does. For when some were closed meanwhile."""
        if self._usual is None:
            return ""
        while True:
            try:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                return str(error)

    def restore(self) -> None:
        """Close what was opened and have the old limit back. May be called twice."""
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()
        if self._usual is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._usual)
            self._usual = None

    def accept(self, listening: socket.socket) -> tuple[socket.socket, Any]:
        """Accept for the control API, which must go on when the app cannot: beyond the lowered limit."""
        with self.beyond():
            return listening.accept()

    @contextlib.contextmanager
    def beyond(self) -> Iterator[None]:
        """The old limit, for what must work meanwhile."""
        if self._usual is None:
            yield
            return
        lowered = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._usual)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, lowered)
