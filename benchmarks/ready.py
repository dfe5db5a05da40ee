"""How long a user waits: for the chain after the command, and for all scenarios."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import sys
import time

from benchmarks.figures import Effort, Figure, NotMeasurableError, Row
from benchmarks.stage import Child, Stage, free_port

NAME = "ready"
TITLE = "Waiting for the chain and for the scenarios"
CHAIN_TARGET = 1.5
SCENARIOS_TARGET = 60.0
TIERS = ("cdn", "lb", "app", "control")
_SCENARIOS_LIMIT = 300.0
_ASK = b"GET /products HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"


def measure(effort: Effort) -> Figure:
    """Start the chain several times, then run every scenario once. Not pinned: a user has all cores."""
    starts = [_start_chain() for _ in range(effort.starts)]
    median = statistics.median(starts)
    seconds, summary, held = _run_scenarios()
    rows = [
        Row(
            "The chain (CDN, LB, 2 apps): from the command to the first 200 through the CDN",
            f"{median:.2f} s ({min(starts):.2f} to {max(starts):.2f})",
            f"≤ {CHAIN_TARGET} s",
            median <= CHAIN_TARGET,
        ),
        Row(
            "All scenarios together (`badgateway run --all`)",
            f"{seconds:.1f} s ({summary})",
            f"< {SCENARIOS_TARGET:.0f} s",
            held and seconds < SCENARIOS_TARGET,
        ),
    ]
    how = (
        f"Median of {effort.starts} starts, a new process each, the CDN's port asked every 5 ms; "
        f"the scenarios on {_usable()} cores."
    )
    return Figure(NAME, TITLE, how, rows, {"starts": starts, "scenarios": seconds})


def _start_chain() -> float:
    with Stage() as stage:
        ports = {name: free_pair() if name == "app" else free_port() for name in TIERS}
        options = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
        # Its state file goes into our folder: a chain that the user has up is left alone.
        env = {"XDG_RUNTIME_DIR": str(stage.folder)}
        began = time.monotonic()
        chain = stage.spawn([sys.executable, "-m", "badgateway", "up", *options], cpu=None, env=env)
        _first_answer(ports["cdn"], chain, began + 20)
        return time.monotonic() - began


def _first_answer(port: int, chain: Child, deadline: float) -> None:
    while time.monotonic() < deadline and chain.process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
        ):
            connection.sendall(_ASK)
            if connection.recv(4096).startswith(b"HTTP/1.1 200 "):
                return
        time.sleep(0.005)
    raise RuntimeError(f"no 200 through the CDN: {chain.tail()}")


def _run_scenarios() -> tuple[float, str, bool]:
    with Stage() as stage:
        began = time.monotonic()
        run = stage.spawn([sys.executable, "-m", "badgateway", "run", "--all"], cpu=None)
        output, _ = run.process.communicate(timeout=_SCENARIOS_LIMIT)
        seconds = time.monotonic() - began
        lines = (output.decode(errors="replace").strip() or run.tail()).splitlines()
    summary = lines[-1].strip() if lines else "no output"
    code = run.process.returncode
    return seconds, summary if code == 0 else f"exit status {code}: {summary}", code == 0


def free_pair() -> int:
    """The first of two neighbouring free ports: the instances listen on app, app+1, …"""
    for _ in range(100):
        port = free_port()
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port
    raise NotMeasurableError("no two neighbouring ports are free")


def _usable() -> int:
    return len(os.sched_getaffinity(0))
