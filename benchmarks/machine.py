"""Facts of the machine that a figure was measured on; without them a figure says nothing."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = ("aiohttp", "httptools", "pydantic", "uvloop")


def cores() -> tuple[int, int]:
    """Two CPU numbers: the proxy under test's, and the load generator's and upstream's.

    The same number twice where this process may use one core only.
    """
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1] if len(usable) > 1 else usable[0]


def facts() -> dict[str, object]:
    """CPU, cores, memory, kernel, Python and versions of what takes part."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "cpu": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "nginx": tool_version("nginx", "-v"),
        "wrk": tool_version("wrk", "-v"),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def tool_version(name: str, flag: str) -> str | None:
    """The first line that a tool prints of its version, or None where it is not installed."""
    path = find_tool(name)
    if path is None:
        return None
    done = subprocess.run([path, flag], capture_output=True, text=True, timeout=10, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else None


def find_tool(name: str) -> str | None:
    """Where a program is; also where Debian puts daemons, which is not on every user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _field(path: Path, name: str) -> str | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
