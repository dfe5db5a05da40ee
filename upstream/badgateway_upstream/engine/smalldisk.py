"""A disk that is really full when so many bytes were written to it: the kernel says ENOSPC.

Two mechanisms, neither of which needs any privilege. Where the machine allows it: a tmpfs of that size, mounted in a
user and mount namespace of its own, where nobody else sees it. Where it does not (a container's seccomp profile,
``kernel.apparmor_restrict_unprivileged_userns``): ``/dev/full``, whose every write is ENOSPC from the start (full(4)).
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

_LOGGED: Final = 200
_SCRIPT: Final = Path(__file__).with_name("smalldisk_main.py")
_PATIENCE: Final = 10.0
_FULL: Final = "/dev/full"
_PIECE: Final = bytes(4096)
LARGEST: Final = 16 << 20
"""Bytes: a tmpfs is memory, so a disk has 16 MiB at most."""

Mechanism = Literal["tmpfs", "/dev/full"]


class SmallDisk:
    """Room for ``size`` bytes, in whole pages of 4 KiB. Making one takes some 20 ms, in which it blocks.

    `mechanism` says what it is made of, `why` for what reason it is no tmpfs (empty if it is one). On ``/dev/full``
    there is room for nothing, and no file that was written can be read. Close it to give the memory back; a process
    that dies gives it back, too.

    Raises ValueError for a size below one page or beyond `LARGEST`; OSError when there is not even ``/dev/full``.
    """

    def __init__(self, size: int, *, namespaces: bool = True) -> None:
        if size < len(_PIECE) or size > LARGEST:
            raise ValueError(f"a small disk has {len(_PIECE)} to {LARGEST} bytes")
        self.size = size
        self.why = "" if namespaces else "namespaces were not asked for"
        self.directory = self._mounted() if namespaces else None
        """The tmpfs's root, for the ``dir_fd`` of os functions; None on ``/dev/full``."""
        if self.directory is None and not os.access(_FULL, os.W_OK):
            raise OSError(f"no file system can be mounted ({self.why}), and there is no {_FULL}")

    @property
    def mechanism(self) -> Mechanism:
        """What it is made of."""
        return _FULL if self.directory is None else "tmpfs"

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        if self.directory is None:
            return 0
        found = os.fstatvfs(self.directory)
        return found.f_bavail * found.f_frsize

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file on it, as os.open does; ``name`` is one name, without a slash. Returns a descriptor."""
        if "/" in name or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is not the name of a file")
        if self.directory is None:
            return os.open(_FULL, flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC) | os.O_CLOEXEC)
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode, dir_fd=self.directory)

    def scratch(self) -> int:
        """Open a file without a name on it, for reading and writing. Returns a descriptor."""
        if self.directory is None:
            return os.open(_FULL, os.O_RDWR | os.O_CLOEXEC)
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self.directory)

    def fill(self) -> int:
        """Write a file until the kernel says that nothing more fits; return how many bytes did."""
        descriptor = self.open("ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        written = 0
        with os.fdopen(descriptor, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                written += file.write(_PIECE) or 0
        return written

    def close(self) -> None:
        """Give everything back. May be called twice."""
        if self.directory is not None:
            os.close(self.directory)
            self.directory = None

    def _mounted(self) -> int | None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                # -I -S: nothing of the environment, no site packages; it only needs the standard library.
                done = subprocess.run(  # noqa: S603 - our own script and a number
                    [sys.executable, "-I", "-S", str(_SCRIPT), str(self.size)],
                    stdin=theirs.fileno(),
                    capture_output=True,
                    text=True,
                    timeout=_PATIENCE,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                self.why = str(error)[:_LOGGED]
                return None
            if done.returncode:
                self.why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1][:_LOGGED]
                return None
            received = array.array("i")
            space = socket.CMSG_SPACE(received.itemsize)
            _, ancillary, _, _ = ours.recvmsg(1, space, socket.MSG_CMSG_CLOEXEC)
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    received.frombytes(data)
            return received[0]
