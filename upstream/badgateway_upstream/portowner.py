"""Who holds a port that we wanted: a best effort over /proc, for the one line that saves ten minutes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"


def owner_of(port: int) -> str | None:
    """Return ``"pid 123 (python -m http.server)"`` for the process listening on that TCP port, if it can be seen."""
    inodes = _inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            if any(os.readlink(entry) in inodes for entry in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"pid {process.name} ({command[:80]})"
        except OSError:
            continue  # somebody else's, or gone in the meantime
    return None


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found
