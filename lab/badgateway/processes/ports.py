"""Addresses that a lab's processes listen on: chosen before they start and held until the lab closes.

Each address is reserved by a socket that is bound and never listens. On Linux a process may bind and listen
on such an address (both sides set SO_REUSEADDR) while no other bind to port 0 and no outgoing connection is
ever given it. So every process knows every address before any of them runs, a crashed instance's port
cannot be taken by somebody else's before it is back, and connecting to a dead one is refused, never
connected to itself.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from badgateway.chain.errors import EnvironmentProblem

LISTEN = "0A"
"""The state column of a listening socket in /proc/net/tcp (proc_pid_net(5))."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Fixed ports, for `badgateway up`; app-N listens on `app + N - 1`. Admin APIs always get ephemeral ones.

    `cdn_host`: where the outermost hop listens instead of `host`, such as 0.0.0.0 in a container.
    """

    cdn: int = 8080
    lb: int = 8081
    app: int = 9001
    control: int = 8500
    host: str = "127.0.0.1"
    cdn_host: str | None = None

    def wanted_twice(self, instances: int) -> str | None:
        """Which options ask for one and the same port, in a sentence; None where none do.

        Args:
            instances: how many of the app there will be.
        """
        options: dict[int, str] = {}
        wanted = [("--cdn-port", self.cdn), ("--lb-port", self.lb), ("--control-port", self.control)]
        for option, port in [*wanted, *(("--app-port", self.app + n) for n in range(instances) if self.app)]:
            if port and options.setdefault(port, option) != option:
                return f"{options[port]} and {option} both ask for port {port}; each process needs one of its own"
        return None


class Reservations:
    """Holds addresses for a lab's processes. `close()` gives them back."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self._held: list[socket.socket] = []

    def take_udp(self) -> int:
        """Reserve any free UDP port and return it: bound, with SO_REUSEADDR, which lets a process of ours bind it, too.

        What Linux delivers goes to whoever bound it last (socket(7)), and nobody else is given the port.
        """
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((self.host, 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    def take(self, port: int = 0, *, option: str = "") -> int:
        """Reserve `port`, or any free one if it is 0, and return it.

        Raises:
            EnvironmentProblem: the port is in use (the message says whose it is; `option` is the command-line
                option that chooses another), or may not be used by this user.
        """
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((self.host, port))
        except OSError as error:
            held.close()
            raise EnvironmentProblem(_why_not(self.host, port, option, error)) from error
        self._held.append(held)
        return int(held.getsockname()[1])

    def close(self) -> None:
        """Give every address back. May be called twice."""
        while self._held:
            self._held.pop().close()


def _why_not(host: str, port: int, option: str, error: OSError) -> str:
    elsewhere = f"choose another with {option}" if option else "choose another"
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {host}:{port}: {error.strerror}; {elsewhere}"
    owner = owner_of(port)
    if owner is None:
        return f"{host}:{port} is in use by a process that this user may not see; {elsewhere}"
    pid, command = owner
    return f"{host}:{port} is in use by pid {pid} ({command}); stop it or {elsewhere}"


def owner_of(port: int) -> tuple[int, str] | None:
    """Process id and command name of whoever listens on a TCP port, or None where one cannot tell (not
    Linux, not ours).
    """
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(link.readlink()) in wanted for link in (process / "fd").iterdir()):
                return int(process.name), (process / "comm").read_text().strip()
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                column = line.split()
                if column[3] == LISTEN and int(column[1].rpartition(":")[2], 16) == port:
                    yield column[9]
