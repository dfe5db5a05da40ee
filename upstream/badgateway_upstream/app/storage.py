"""The disk that the app writes its files to. There is one, and it can be full."""

from __future__ import annotations

import os
import tempfile
from typing import BinaryIO, Final, cast

from badgateway_upstream.engine.smalldisk import SmallDisk

_DISK: Final = 64 * 1024


class Storage:
    """Gives out temporary files: without a name, so that a SIGKILL leaves none behind."""

    def __init__(self) -> None:
        self._disk: SmallDisk | None = None

    def scratch(self) -> BinaryIO:
        """Open a new temporary file for reading and writing, unbuffered. Raises OSError (EMFILE, ENOSPC, …)."""
        if self._disk is not None:
            return cast("BinaryIO", os.fdopen(self._disk.scratch(), "w+b", buffering=0))
        return cast("BinaryIO", tempfile.TemporaryFile(buffering=0))

    def spool(self, content: bytes) -> bytes:
        """Write ``content`` to a temporary file and return what is read back. Raises OSError."""
        with self.scratch() as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
            file.seek(0)
            return file.read()

    def fill(self, *, namespaces: bool = True) -> str:
        """Put a disk in place that is full, and return what shows that it is. Raises OSError where none can be made."""
        if self._disk is None:
            disk = SmallDisk(_DISK, namespaces=namespaces)
            written = disk.fill()
            self._disk = disk
            if disk.mechanism == "tmpfs":
                return f"a tmpfs of {disk.size} bytes, of which {written} are written and {disk.free} are free"
            return f"{disk.mechanism}, as no file system could be mounted: {disk.why}"
        return f"{self._disk.mechanism}, full already"

    def empty(self) -> None:
        """The old disk is back."""
        disk, self._disk = self._disk, None
        if disk is not None:
            disk.close()
