"""Who holds a TCP port that we wanted. Best effort, from Linux's /proc; elsewhere nobody is named."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"  # include/net/tcp_states.h: TCP_LISTEN


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The process that listens, and its command line."""

    pid: int
    command: str


def port_owner(port: int, proc: Path = Path("/proc")) -> PortOwner | None:
    """The process that listens on TCP ``port``, on whichever address; None when that cannot be found out.

    Other users' processes can usually not be looked into.
    """
    inodes = set(_listening_inodes(port, proc))
    if not inodes:
        return None
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in proc.glob("[0-9]*"):
        if _holds(process, sockets):
            return PortOwner(int(process.name), _command(process))
    return None


def explain(host: str, port: int, error: OSError, proc: Path = Path("/proc")) -> str:
    """A line for people: why ``error`` kept us from listening on an address, and what to do about it."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {address}: {error.strerror or error}"
    owner = port_owner(port, proc)
    whose = f" by process {owner.pid} ({owner.command})" if owner else ""
    return f"{address} is already in use{whose}; stop that, or choose another port"


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    suffix = f":{port:04X}"
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[1].endswith(suffix) and fields[3] == _LISTEN:
                yield fields[9]


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(_target(entry) in sockets for entry in (process / "fd").iterdir())
    except OSError:  # it ended meanwhile, or is not ours to look into
        return False


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        words = b""
    text = "".join(char if char.isprintable() else "?" for char in words.decode("utf-8", "replace"))
    return text if len(text) <= 120 else text[:119] + "…"
