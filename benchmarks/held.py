"""Requests held by a hanging app, all at once: each has to get its 504 when its deadline passes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks import machine
from benchmarks.figures import Effort, Figure, NotMeasurableError, Row, percentile, spread
from benchmarks.hop import start_hop
from benchmarks.stage import Stage, pinned, raise_file_limit

NAME = "held"
TITLE = "Requests held by a hanging app"
TARGET = 0.100
DEADLINE = 5.0  # seconds, the hop's default for the first byte
RAMP = 2.0  # seconds over which the requests are sent; all are held together for the rest of the deadline
_REQUEST = b"GET /hang HTTP/1.1\r\nHost: bench\r\n\r\n"


@dataclass
class Ask(asyncio.Protocol):
    """One client connection with one request: when it was sent, when and how it was answered."""

    sent: float = 0.0
    answered: float = 0.0
    status: int = 0
    transport: asyncio.Transport | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self) -> None:
        """Send the request now."""
        if self.transport is not None:
            self.sent = time.monotonic()
            self.transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        """The first bytes of the answer count."""
        if not self.answered:
            self.answered = time.monotonic()
            self.status = int(data[9:12]) if data.startswith(b"HTTP/1.") else -1
            self.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that never came has status 0."""
        self.done.set()


def measure(effort: Effort) -> Figure:
    """Send them spread over ``RAMP`` seconds, and once more all in one go (no target: see ``how``).

    Raises NotMeasurableError where the limit of open files is too low.
    """
    needed = 4 * effort.held
    if (limit := raise_file_limit(needed)) < needed:
        raise NotMeasurableError(f"needs {needed} open files, the limit is {limit}: ulimit -Hn")
    under_test, other = machine.cores()
    runs = []
    for ramp in (RAMP, 0.0):
        with pinned(other), Stage() as stage:  # a hop of its own for each: the first run opens the breaker
            origin = stage.python("benchmarks.origin", cpu=other)
            _, port = start_hop(stage, str(origin.ready()["listen"]), cpu=under_test)
            runs.append(asyncio.run(hold(port, effort.held, ramp)))
    return _figure(*runs)


async def hold(port: int, count: int, ramp: float) -> list[Ask]:
    """Open ``count`` connections, send a request on each over ``ramp`` seconds, and wait for every answer."""
    loop = asyncio.get_running_loop()
    asks = [Ask() for _ in range(count)]
    for ask in asks:  # connected first, so that the accept queue's length is not what we measure
        await loop.create_connection(lambda ask=ask: ask, "127.0.0.1", port)  # type: ignore[misc]  # mypy: lambda default
    start = loop.time() + 0.5
    for number, ask in enumerate(asks):
        loop.call_at(start + ramp * number / count, ask.send)
    await asyncio.wait_for(asyncio.gather(*(ask.done.wait() for ask in asks)), DEADLINE + ramp + 30)
    for ask in asks:
        if ask.transport is not None:
            ask.transport.close()
    return asks


def deviations(asks: Sequence[Ask]) -> list[float]:
    """By how many seconds each answer missed the deadline, early or late."""
    return [abs(ask.answered - ask.sent - DEADLINE) for ask in asks if ask.answered]


def _figure(spread_out: Sequence[Ask], at_once: Sequence[Ask]) -> Figure:
    late = deviations(spread_out)
    statuses = Counter(ask.status for ask in spread_out)
    burst = deviations(at_once)
    burst_statuses = Counter(ask.status for ask in at_once)
    p50, p99 = percentile(late, 0.50), percentile(late, 0.99)
    all_504 = statuses == {504: len(spread_out)}
    rows = [
        Row(
            f"{len(spread_out):,} requests held at once by a hanging app: how many get their 504",
            f"{statuses[504]:,}" + ("" if all_504 else f" (others: {dict(statuses)})"),
            "all",
            all_504,
        ),
        Row(
            "… distance from the deadline, as the client sees it",
            f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms",
            "p99 ≤ 100 ms",
            p99 <= TARGET,
        ),
        Row(
            "… the same when all are sent in the same instant",
            f"{burst_statuses[504]:,} × 504, p50 {percentile(burst, 0.5) * 1e3:.0f} ms, "
            f"p99 {percentile(burst, 0.99) * 1e3:.0f} ms",
        ),
    ]
    how = (
        f"Deadline: first byte, {DEADLINE:g} s (the default). Requests sent over {RAMP:g} s on connections "
        "already open, so that all are held together; measured at the client from sending the request to the "
        "answer's first byte. Sent in one instant, the last waits until the hop's one core has read and "
        "forwarded all before it; that wait is in its figure."
    )
    data = {"spread": spread(late), "burst": spread(burst), "statuses": dict(statuses), "deviations": late}
    return Figure(NAME, TITLE, how, rows, data)
