"""A big body through one hop, each way: how much memory the hop needs for it, and how fast it goes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks import machine, memory
from benchmarks.figures import Effort, Figure, Row
from benchmarks.hop import start_hop
from benchmarks.stage import Stage, pinned

NAME = "body"
TITLE = "A 1 GiB body through one hop"
TARGET = 16 << 20
_MIB = 1 << 20
_BLOCK = 1 << 20
PAUSE = 1.0  # seconds that the reading client stops reading in the middle: what would pile up does so then

# One body takes longer than an ordinary request may; everything else is the default.
SETTINGS = {"timeouts": {"request": "10m", "client_body": "10m"}}


@dataclass(frozen=True)
class Passage:
    """One body's way: bytes, seconds, and the bytes by which the hop's peak memory rose."""

    bytes: int
    seconds: float
    growth: int


def measure(effort: Effort) -> Figure:
    """Send the body through three times: as a response with a length, as a chunked response, as a request."""
    total = effort.body_bytes
    under_test, other = machine.cores()
    ways: dict[str, Callable[[int], None]] = {
        "response, Content-Length": lambda port: download(port, f"/bytes/{total}", total, PAUSE),
        "response, chunked": lambda port: download(port, f"/chunked/{total}", total, PAUSE),
        "request": lambda port: upload(port, total),
    }
    passages: dict[str, Passage] = {}
    exact = True
    for name, send in ways.items():
        # A hop of its own for each, measured from before its first request: what it needs for one counts too.
        with pinned(other), Stage() as stage:
            origin = stage.python("benchmarks.origin", cpu=other)
            hop, port = start_hop(stage, str(origin.ready()["listen"]), cpu=under_test, settings=SETTINGS)
            exact &= memory.forget_peak(hop.pid)
            before = memory.resident(hop.pid)
            started = time.monotonic()
            send(port)
            seconds = time.monotonic() - started
            passages[name] = Passage(total, seconds, memory.peak(hop.pid) - before)
    rows = [
        Row(
            f"{_size(total)} through one hop ({name}): peak memory of the hop grows by",
            f"{passage.growth / _MIB:.1f} MiB at {passage.bytes / _MIB / passage.seconds:,.0f} MiB/s",
            f"< {TARGET // _MIB} MiB",
            passage.growth < TARGET,
        )
        for name, passage in passages.items()
    ]
    how = (
        "VmHWM after less VmRSS before its first request (VmHWM set back by clear_refs); "
        "the timeouts for the whole request and for its body are raised to 10 m; "
        f"the client stops reading for {PAUSE:g} s halfway (counted in MiB/s)."
    )
    if not exact:
        how += " clear_refs is not permitted here, so the peak includes the start of the process."
    return Figure(NAME, TITLE, how, rows, {name: asdict(passage) for name, passage in passages.items()})


def download(port: int, target: str, total: int, pause: float) -> None:
    """GET, read to the end, stop for ``pause`` seconds halfway. Raises RuntimeError if some is missing."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        buffer = memoryview(bytearray(_BLOCK))
        received = 0
        paused = pause == 0
        first = b""
        while count := connection.recv_into(buffer):
            if not received:
                first = bytes(buffer[: min(count, 400)])
            received += count
            if not paused and received > total // 2:
                time.sleep(pause)
                paused = True
    if not first.startswith(b"HTTP/1.1 200 ") or received < total:
        raise RuntimeError(f"{received} bytes came of {total}, beginning {first!r}")


def upload(port: int, total: int) -> None:
    """POST ``total`` bytes. Raises RuntimeError unless the origin says that it received them all."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = f"POST /orders HTTP/1.1\r\nHost: bench\r\nContent-Length: {total}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        block = bytes(_BLOCK)
        for _ in range(total // _BLOCK):
            connection.sendall(block)
        connection.sendall(block[: total % _BLOCK])
        answer = b""
        while data := connection.recv(65536):
            answer += data
    if b'{"received": %d}' % total not in answer:
        raise RuntimeError(f"the origin did not receive all {total} bytes: {answer[:400]!r}")


def _size(count: int) -> str:
    return f"{count >> 30} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"
