"""The running chain, and everything one can do with it. The runner, the control API and the demo all use this."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from badgateway.chain.addressing import names_in, with_addresses
from badgateway.chain.collecting import Collector
from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.events import EventBus, Subscription
from badgateway.chain.faultboard import FaultBoard, FaultState
from badgateway.chain.faulting import Faulting
from badgateway.chain.labclock import LabClock
from badgateway.chain.nodes import HopAdmin, InstanceAdmin, Node, NodeAddress
from badgateway.chain.spec import ChainSpec, leaves
from badgateway.chain.traces import Trace
from badgateway.inputs.problems import did_you_mean
from badgateway.processes.assembly import APP_TIER, Assembly
from badgateway.processes.forkserver import ForkServer
from badgateway.processes.ports import Ports
from badgateway.processes.respawn import Respawner
from badgateway.processes.supervisor import Process, ProcessChange, State
from badgateway.processes.together import Tasks, together
from badgateway_proxy import format_duration

CLOSE_GRACE = 0.5
"""Seconds that processes have to end by themselves when the lab closes."""


class Lab:
    """A chain of real processes. Make one with `Lab.start` or `Lab.attach`, and use it from one event loop.

    Every method may raise `EnvironmentProblem` when a process that it needs does not answer, or when the
    fork server has died (`failure` says so then), and `InvalidRequest` for what does not exist.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._nodes: dict[str, Node] = {}
        self._tasks = Tasks()
        self._clock = LabClock()
        self._board = FaultBoard(self._clock)
        self._respawner = Respawner(self._board, self._tasks)
        self._collector = Collector(self._nodes, self._board, self._tasks)
        self._bus = EventBus(self._collector.start, self._collector.stop)
        self._collector.bus = self._bus
        self._faulting = Faulting(self._nodes, self._board, self._clock, self._bus, self._respawner)
        self._patched: dict[str, dict[str, None]] = {}
        self._assembly: Assembly | None = None
        self._spec: dict[str, Any] = {}
        self._forkserver: ForkServer | None = None
        self._own_forkserver: ForkServer | None = None
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, chain: ChainSpec, *, ports: Ports | None = None, forkserver: ForkServer | None = None) -> Self:
        """Start a chain; returns when every process is ready. `ports` None: ephemeral ones.

        `forkserver`: one launched before, which stays its launcher's to close; else the lab has its own.

        Raises:
            EnvironmentProblem: a port is taken, or a process did not get ready. Nothing is left then.
            InvalidRequest: the chain's settings do not fit together.
        """
        lab = cls(_session())
        try:
            if forkserver is None:
                forkserver = lab._own_forkserver = ForkServer.launch()
            lab._forkserver = forkserver
            lab._assembly = Assembly(chain, ports, forkserver)
            lab._spec = chain.as_written
            for node in lab._assembly.build(lab._session, lab._process_changed, lab._line):
                lab._nodes[node.name] = node
            await together([process.start() for process in lab._processes()])
            lab._tasks.start(lab._faulting.expire(), name="fault expiry")
        except BaseException:
            await lab.close()
            raise
        return lab

    @classmethod
    async def attach(cls, nodes: Sequence[NodeAddress], token: str) -> Self:
        """Use a chain that somebody else runs, outermost hop first: everything but what needs its processes.

        An empty `url` is asked of the node itself, and stays empty if it does not answer.

        Raises:
            InvalidRequest: no hop among `nodes`, or a name twice.
        """
        if len({node.name for node in nodes}) != len(nodes) or all(node.tier == APP_TIER for node in nodes):
            raise InvalidRequest("a chain has at least one hop, and no name twice")
        lab = cls(_session())
        for address in nodes:
            kind = InstanceAdmin if address.tier == APP_TIER else HopAdmin
            client = kind(address.name, address.admin, token, lab._session)
            lab._nodes[address.name] = Node(address.name, address.tier, address.url, client)
        await together([lab._collector.find_url(node) for node in lab._nodes.values() if not node.url])
        lab._tasks.start(lab._faulting.expire(), name="fault expiry")
        return lab

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where clients connect: the outermost hop."""
        return self._nodes[self.hops[0]].url

    @property
    def urls(self) -> Mapping[str, str]:
        """Where each hop and instance listens."""
        return {name: node.url for name, node in self._nodes.items()}

    @property
    def hops(self) -> list[str]:
        """Names, outermost first."""
        return [name for name, node in self._nodes.items() if node.kind == "hop"]

    @property
    def instances(self) -> list[str]:
        """Names of the app's processes."""
        return [name for name, node in self._nodes.items() if node.kind == "instance"]

    @property
    def failure(self) -> str | None:
        """Why the whole lab can do no more, if so: its fork server has died."""
        return self._forkserver.failure if self._forkserver is not None and self._closing is None else None

    async def set_fault(self, target: str, spec: Mapping[str, object]) -> FaultState:
        """Set a fault on "app" (every instance), one instance, or a hop (crash, exit, freeze only).

        The object that it returns is kept up to date: count, firings, proof.
        """
        self._usable()
        fault = await self._faulting.set(target, self._targets(target), spec)
        self._ordered(fault={"target": target, **spec, "id": fault.id})
        return fault

    async def clear_fault(self, id: str) -> None:
        """Take a fault back. A frozen process goes on, a crash loop ends; what is dead waits for `restart`."""
        self._usable()
        fault = self._board.get(id)
        if fault.active:
            await self._faulting.clear(fault)
            self._ordered(clear=fault.kind)

    async def clear_faults(self) -> None:
        """Take every fault back."""
        self._usable()
        await self._faulting.clear_all()
        self._ordered(clear="all")

    async def faults(self, *, ended: bool = False) -> list[FaultState]:
        """The faults in force, oldest first; with `ended` also those that are over, with what they did."""
        await self._collector.settle()
        return self._board.all(ended=ended)

    async def restart(self, target: str) -> list[str]:
        """Stop what runs, start it again on the same ports with what it was started with, wait until it is ready.

        A process keeps what it was told meanwhile in its memory only, as real ones do. Returns what was lost so, in
        sentences: faults that were set in it, settings of a hop that were patched.
        """
        self._usable()
        processes = [self._process(name, "restarted") for name in self._targets(target)]
        lost = [text for process in processes for text in self._forgotten(process.name)]
        await together([process.restart() for process in processes])
        self._ordered(restart=target)
        return lost

    async def deploy(self, target: str, settings: Mapping[str, Any], *, may_not_start: bool = False) -> None:
        """Restart instances with `settings` on top of the chain's, one after the other, until one does not start.

        A later restart, or reset, has the chain's settings again.

        Raises:
            EnvironmentProblem: one did not start, unless it `may_not_start`.
        """
        self._usable()
        for process in [self._process(name, "restarted") for name in self._targets(target)]:
            self._faulting.restarting(process.name)
            try:
                await process.restart(settings)
            except EnvironmentProblem:
                if may_not_start:
                    return
                raise

    async def stop(self, target: str) -> None:
        """Stop it as a deployment does: it finishes what it is at, for a while."""
        self._usable()
        processes = [self._process(name, "stopped") for name in self._targets(target)]
        for process in processes:
            self._forgotten(process.name)
        await together([process.stop() for process in processes])
        self._ordered(stop=target)

    async def patch(self, hop: str, patch: Mapping[str, object]) -> dict[str, Any]:
        """Change a hop's live configuration (JSON merge patch, RFC 7396); returns the whole of it.

        It lasts as long as the hop's process: a restart brings back what the hop was started with. Where it wants
        endpoints' addresses (`upstreams`, `balancing.drain` and `.weights`), the name of a node stands for where that
        node listens.
        """
        for _, name in names_in(patch):
            self._node(name)
        urls = self.urls if self._assembly is None else self._assembly.known_urls
        configuration = await self._hop(hop).patch(with_addresses(patch, urls))
        self._patched.setdefault(hop, {}).update(dict.fromkeys(leaves(patch)))
        self._ordered(patch={hop: patch})
        return configuration

    async def config(self, hop: str) -> dict[str, Any]:
        """A hop's live configuration."""
        return await self._hop(hop).config()

    async def breaker(self, hop: str, action: str) -> dict[str, Any]:
        """force_open, force_closed, reset or disable a hop's circuit breaker; returns its state."""
        state = await self._hop(hop).breaker(action)
        self._ordered(breaker={hop: action})
        return state

    async def purge(self, hop: str, what: Mapping[str, object]) -> int:
        """Let a hop's cache forget a URL, a tag, or everything; returns how many responses there were."""
        return await self._hop(hop).purge(what)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass on the clock of the lab and of every process. The frozen catch up when they go on."""
        self._usable()
        if seconds < 0:
            raise InvalidRequest("the clock only goes forward")
        await together([self._collector.advance(node, seconds) for node in self._nodes.values()])
        self._clock.advance(seconds)
        self._ordered(advance=format_duration(seconds))

    async def reset(self) -> None:
        """As it was started: no faults, all processes up, configuration, breakers, records, clocks and shop as new."""
        self._usable()
        await self._faulting.clear_all()
        for process in self._processes():
            self._forgotten(process.name)
        await together([process.restart() for process in self._processes() if process.changed])
        await together([node.admin.reset() for node in self._nodes.values()])
        self._board.clear()
        self._clock.offset = 0.0
        self._ordered(reset=self.hops)

    async def state(self, name: str) -> dict[str, Any]:
        """What a hop or instance says of itself now."""
        return await self._node(name).admin.state()

    async def describe(self) -> dict[str, Any]:
        """The chain as plain data: its URL, each node's addresses, process and breaker, and what it was started with.

        `spec`: what differs from the default chain; empty for a chain that somebody else runs.
        """
        self._usable()
        nodes = await together([self._collector.describe(node) for node in self._nodes.values()])
        return {"url": self.url, "nodes": nodes, "spec": self._spec}

    async def exchanges(
        self, *, request_id: str | None = None, session: str | None = None, limit: int = 100, settled: bool = False
    ) -> list[Trace]:
        """The latest requests, oldest first, each with what every node recorded; of one `session`, or all.

        With `request_id`: that one; waits a moment for the records that are still being written. `settled`: waits
        until no request is under way, for a second at most.
        """
        self._usable()
        if settled:
            await self._collector.quiet(self.hops)
        return await self._collector.traces(self.hops, request_id=request_id, session=session, limit=limit)

    def events(self) -> Subscription:
        """Everything that happens from now on: exchange, breaker, firing, process, fault. Ends with the lab.

        Exchanges and breakers come from the hops' own streams, to which the first subscriber makes the lab connect:
        for it, those of the first few milliseconds are missing.
        """
        return self._bus.subscribe()

    async def close(self) -> None:
        """End every process and leave nothing. May be called twice, and at any time.

        Cancelled, it still closes everything, only without waiting for anybody to end in good order.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="close lab")
        try:
            await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            for process in self._processes():
                process.kill_now()
            await self._closing
            raise

    async def _close(self) -> None:
        try:
            self._bus.close()
            await self._tasks.close()
            for process in self._processes():
                if process.state is State.STARTING:
                    process.kill_now()  # or stopping it would wait until it is ready
            await asyncio.gather(*(p.stop(grace=CLOSE_GRACE) for p in self._processes()), return_exceptions=True)
            if self._own_forkserver is not None:
                await self._own_forkserver.close()
        finally:  # all of it without waiting, as this may be the second cancellation
            for process in self._processes():
                process.kill_now()
            if self._own_forkserver is not None:
                self._own_forkserver.close_now()
            if self._assembly is not None:
                self._assembly.close()
            await self._session.close()

    def _ordered(self, **step: object) -> None:
        """Tell who listens what somebody had the lab do, as a step of a scenario."""
        self._bus.publish("order", "lab", step)

    def _forgotten(self, name: str) -> list[str]:
        """Forget what only the process knows that is about to end; returns what that was, in sentences."""
        faults = [fault for fault in self._faulting.restarting(name) if fault.category != "process"]
        lost = [f"{fault.id}, {fault.kind} at {name}, is over" for fault in faults]
        if patched := self._patched.pop(name, {}):
            lost.append(f"{name} has what it was started with again: {', '.join(patched)}")
        return lost

    def _processes(self) -> list[Process]:
        return [node.process for node in self._nodes.values() if node.process is not None]

    def _usable(self) -> None:
        if self._closing is not None:
            raise EnvironmentProblem("the lab is closed")
        if self.failure is not None:
            raise EnvironmentProblem(self.failure)

    def _targets(self, target: str) -> list[str]:
        if target == APP_TIER:
            return self.instances
        return [self._node(target, APP_TIER).name]

    def _node(self, name: str, *others: str) -> Node:
        """The node of that name; `others`: what would have been right here too, for the hint."""
        self._usable()
        if name not in self._nodes:
            hint = did_you_mean(name, (*others, *self._nodes))
            raise InvalidRequest(f'nothing in the chain is called "{name}"; {hint}')
        return self._nodes[name]

    def _hop(self, name: str) -> HopAdmin:
        node = self._node(name)
        if node.kind != "hop":
            raise InvalidRequest(f'"{name}" is an instance; hops are {" and ".join(self.hops)}')
        return node.hop

    def _process(self, name: str, done: str) -> Process:
        process = self._nodes[name].process
        if process is None:
            raise InvalidRequest(f"{name} is run by somebody else, so it can only be {done} there")
        return process

    def _process_changed(self, change: ProcessChange) -> None:
        self._faulting.process_changed(change)
        self._bus.publish("process", change.name, change.to_json())
        process = self._nodes[change.name].process
        if process is not None and self._closing is None and self.failure is None:
            self._respawner.died(process, change)
            self._collector.process_changed(change)

    def _line(self, name: str, event: dict[str, Any]) -> None:
        if event.get("event") == "firing":
            self._faulting.fired(name, event)
        elif event.get("event") == "evidence":
            self._faulting.evidence(name, event)


def _session() -> aiohttp.ClientSession:
    # no connection is kept: one to a process that has died since would fail the next request
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
