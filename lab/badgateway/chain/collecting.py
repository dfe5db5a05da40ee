"""Reading what the nodes of a lab know: records of one request, states, and their event streams."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from badgateway.chain.errors import EnvironmentProblem
from badgateway.chain.events import EventBus, EventKind
from badgateway.chain.faultboard import FaultBoard
from badgateway.chain.nodes import Node, Unreachable, scheme_of
from badgateway.chain.traces import Trace, join
from badgateway.processes.supervisor import ProcessChange, State
from badgateway.processes.together import Tasks, together
from badgateway_proxy import ErrorType
from badgateway_upstream import FAULTS

SETTLE_DEADLINE = 1.0
"""Seconds to wait for the records of a request that has been answered: a hop writes its own after the last byte."""
SETTLE_PAUSE = 0.01
POLL = 1.0
"""Seconds between looks at an attached lab, whose processes tell us nothing by themselves."""
RECONNECT = 0.2
MOST_KEPT = 1000
"""Requests that an instance remembers."""

_KINDS: Mapping[str, EventKind] = {"breaker": "breaker", "endpoint": "endpoint"}
"""The lab's names of what hops tell; all else is about an exchange."""


class Collector:
    """Asks the nodes of one lab. `behind`: seconds by which a frozen node's clock is late."""

    bus: EventBus

    def __init__(self, nodes: Mapping[str, Node], board: FaultBoard, tasks: Tasks) -> None:
        self._nodes, self._board, self._tasks = nodes, board, tasks
        self._streams: list[asyncio.Task[None]] = []
        self._alive: dict[str, bool] = {}
        self.behind: dict[str, float] = {}

    async def settle(self) -> None:
        """Take in every firing that has been told up to now."""
        for node in self._nodes.values():
            if node.process is not None:
                node.process.drain()
        if any(node.process is None for node in self._nodes.values()):
            await self._look()

    async def traces(
        self, hops: Sequence[str], *, request_id: str | None, session: str | None = None, limit: int
    ) -> list[Trace]:
        """Join all nodes' records; with `request_id`, wait until the records that must come have come."""
        end = time.monotonic() + SETTLE_DEADLINE
        while True:
            found = await self._join(hops, request_id, session, limit)
            if request_id is None or time.monotonic() > end:
                return found[-limit:]
            if found and not self._missing(hops, found[-1]):
                return found
            await asyncio.sleep(SETTLE_PAUSE)

    async def quiet(self, hops: Sequence[str]) -> None:
        """Wait until no request is under way at any hop, for `SETTLE_DEADLINE` at most: then all is recorded."""
        end = time.monotonic() + SETTLE_DEADLINE
        while any(await together([self._busy(self._nodes[hop]) for hop in hops])):
            if time.monotonic() > end:
                return
            await asyncio.sleep(SETTLE_PAUSE)

    async def _busy(self, hop: Node) -> bool:
        if not hop.answers:
            return False
        try:
            return bool((await hop.admin.state()).get("in_flight"))
        except Unreachable:
            return False

    async def _join(self, hops: Sequence[str], request_id: str | None, session: str | None, limit: int) -> list[Trace]:
        await self.settle()
        asked = [node for node in self._nodes.values() if node.answers]
        records = await together([self._records(node, request_id, session, limit) for node in asked])
        exchanges, requests = [], []
        for node, found in zip(asked, records, strict=True):
            if node.kind == "hop":
                exchanges += found
            else:
                requests += [{**record, "instance": node.name} for record in found]
        firings = [firing for fault in self._board.all(ended=True) for firing in fault.firings]
        listening = {node.name: urlsplit(node.url).netloc for node in self._nodes.values()}
        return join(hops, exchanges, requests, firings, listening)

    async def _records(
        self, node: Node, request_id: str | None, session: str | None, limit: int
    ) -> list[dict[str, Any]]:
        try:
            if node.kind == "hop":
                return await node.hop.exchanges(request_id=request_id, session=session, limit=limit)
            # instances know no sessions: theirs are found by the ids that the hops recorded
            return await node.instance.requests(request_id=request_id, limit=limit if session is None else MOST_KEPT)
        except Unreachable:
            return []  # it died or froze meanwhile, and its records with it

    def _missing(self, hops: Sequence[str], trace: Trace) -> bool:
        """Whether a hop that was reached has not written its record yet: it does so when it is done, or left alone."""
        recorded = {record["hop"] for record in trace.hops}
        return any(
            inner not in recorded and self._nodes[inner].answers
            for outer, inner in itertools.pairwise(hops)
            for record in trace.hops
            if record["hop"] == outer and any(attempt.get("local") for attempt in record["attempts"])
        )

    async def describe(self, node: Node) -> dict[str, Any]:
        """One node as plain data."""
        process = node.process
        running = node.answers if process is not None else await node.admin.healthy()
        breaker = None
        if running and node.kind == "hop":
            try:
                breaker = (await node.admin.state()).get("breaker")
            except EnvironmentProblem:
                running = process is not None and process.state is State.RUNNING
        return {
            "name": node.name,
            "tier": node.tier,
            "kind": node.kind,
            "url": node.url,
            "admin": node.admin.base,
            "pid": process.pid if process is not None and process.alive else None,
            "state": process.state.value if process is not None else "running" if running else "exited",
            "exit": str(process.exit) if process is not None and process.exit is not None else None,
            "restarts": process.restarts if process is not None else 0,
            "breaker": breaker,
        }

    def process_changed(self, change: ProcessChange) -> None:
        """A node is new, or goes on: what it has missed is told to it."""
        late = self.behind.get(change.name)
        if change.state is State.EXITED or (change.state is State.RUNNING and change.was is State.STARTING):
            self.behind.pop(change.name, None)
        elif change.state is State.RUNNING and late:
            del self.behind[change.name]
            self._tasks.start(self.advance(self._nodes[change.name], late), name=f"clock of {change.name}")

    async def advance(self, node: Node, seconds: float) -> None:
        """Advance a node's clock: later if it is frozen, not at all if it is dead."""
        try:
            if node.answers:
                await node.admin.advance(seconds)
        except Unreachable as error:
            if not await node.is_gone(error):
                raise
        if node.process is not None and node.process.state is State.FROZEN:
            self.behind[node.name] = self.behind.get(node.name, 0.0) + seconds

    async def find_url(self, node: Node) -> None:
        """Ask a node where it listens; the host is the one under which it is reached already."""
        try:
            if node.kind == "hop":
                told = await node.hop.config()
                port = told["listen"]["port"]
            else:
                told = await node.admin.state()
                port = str(told["listen"]).rpartition(":")[2]
        except EnvironmentProblem:
            return
        admin = urlsplit(node.admin.base)
        node.url = f"{scheme_of(told)}://{admin.netloc.rpartition(':')[0] or admin.netloc}:{port}"

    # Event streams: only while somebody listens

    def start(self) -> None:
        """Follow every hop's events, and look at the nodes of an attached lab from time to time."""
        for node in self._nodes.values():
            if node.kind == "hop":
                self._streams.append(self._tasks.start(self._follow(node), name=f"events of {node.name}"))
        if any(node.process is None for node in self._nodes.values()):
            self._streams.append(self._tasks.start(self._watch(), name="watch"))

    def stop(self) -> None:
        """Follow no more."""
        for stream in self._streams:
            stream.cancel()
        self._streams.clear()

    async def _follow(self, node: Node) -> None:
        while True:
            if node.process is not None:
                await node.process.until(State.RUNNING, deadline=None)
            try:
                async for kind, data in node.hop.events():
                    self.bus.publish(_KINDS.get(kind, "exchange"), node.name, data)
            except EnvironmentProblem:
                pass  # it died; its state tells why, and the next life has a stream again
            await asyncio.sleep(RECONNECT)

    async def _watch(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(POLL)

    async def _look(self) -> None:
        await together([self._look_at(node) for node in self._nodes.values() if node.process is None])

    async def _look_at(self, node: Node) -> None:
        alive = True
        try:
            await node.admin.ping()
        except EnvironmentProblem as error:
            alive = False
            if isinstance(error, Unreachable) and not error.sent:
                self._lost(node, str(error))
        if alive != self._alive.get(node.name, True):
            state = State.RUNNING if alive else State.EXITED
            self.bus.publish("process", node.name, {"pid": None, "state": state.value, "exit": None})
        self._alive[node.name] = alive
        if alive and node.kind == "instance":
            try:
                told = await node.instance.firings()
            except EnvironmentProblem:
                return
            for firing in told:
                if self._board.is_new(node.name, firing):
                    self._board.firing(node.name, firing)
                    self.bus.publish("firing", node.name, firing)

    def _lost(self, node: Node, why: str) -> None:
        """Nobody listens there any more, which is what a fault in force was to bring about: it cannot tell itself."""
        for fault, part in list(self._board.on(node.name)):
            if fault.category == "process" and FAULTS[fault.kind].provokes == ErrorType.CONNECTION_REFUSED:
                if not part.fired:
                    firing = self._board.next_firing(fault, node.name)
                    self._board.firing(node.name, firing)
                    self.bus.publish("firing", node.name, firing)
                part.seen = why
