"""Setting faults, taking them back, and letting them expire: what the fault board's entries mean for real
processes.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from badgateway.chain import faultspecs
from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.events import EventBus
from badgateway.chain.faultboard import FaultBoard, FaultState
from badgateway.chain.faultspecs import CheckedFault
from badgateway.chain.labclock import LabClock
from badgateway.chain.nodes import Node, Unreachable
from badgateway.processes.respawn import Respawner
from badgateway.processes.supervisor import STOP_GRACE, Process, ProcessChange, State
from badgateway.processes.together import together

EFFECT_DEADLINE = STOP_GRACE + 2.0
"""Seconds for a signal to show its effect: a hop that is told to exit drains first."""

POLL = 0.02
"""Seconds between looks at what an instance of somebody else's tells."""


class Faulting:
    """Sets and clears faults on the nodes of one lab, and keeps the board true."""

    def __init__(
        self, nodes: Mapping[str, Node], board: FaultBoard, clock: LabClock, events: EventBus, respawner: Respawner
    ) -> None:
        self._nodes, self._board, self._clock, self._events = nodes, board, clock, events
        self._respawner = respawner
        self._wakers: list[asyncio.Future[None]] = []

    async def set(self, target: str, names: Sequence[str], given: Mapping[str, Any]) -> FaultState:
        """Set a fault on the nodes `names`, which `target` stands for.

        Raises:
            InvalidRequest: the spec is wrong, or an instance refuses it.
            EnvironmentProblem: none of the nodes runs, or one does not answer. Then it is set nowhere.
        """
        nodes = [self._nodes[name] for name in names]
        on_hop = any(node.kind == "hop" for node in nodes)
        checked = faultspecs.for_hop(target, given) if on_hop else faultspecs.for_instance(given)
        if all(node.process is not None for node in nodes):  # others may call themselves what they like
            checked.refuse_nobody(names)
        if on_hop and any(node.process is None for node in nodes):
            raise InvalidRequest(f"{target} is run by somebody else, who alone can {checked.kind} it")
        able = [n for n in nodes if (n.process is not None and n.process.alive if on_hop else n.answers)]
        if not able:
            raise EnvironmentProblem("; ".join(_why_unable(node) for node in nodes))
        fault = self._board.add(
            self._board.new_id(checked.id), target, names, checked.given, category=checked.category, lasts=checked.lasts
        )
        for node in nodes:
            if node not in able:
                self._board.end(fault, _why_unable(node), node=node.name)
        self._respawner.know(fault.id, checked)
        try:
            await together([self._apply(fault, checked, node) for node in able])
        except BaseException:
            self._board.discard(fault)
            # why it could not be set is the better message
            with suppress(EnvironmentProblem, InvalidRequest):
                await self._undo(fault, able)
            raise
        self._tell(fault, "set")
        return fault

    async def clear(self, fault: FaultState, why: str = "cleared") -> None:
        """End a fault and put right what can be: a frozen process goes on, a crash loop stops; the dead stay dead."""
        names = [part.node for part in fault.parts.values() if not part.over]
        self._board.end(fault, why)
        await self._undo(fault, [self._nodes[name] for name in names])
        self._tell(fault, why)

    async def clear_all(self) -> None:
        """End every fault."""
        await together([self.clear(fault) for fault in self._board.all(ended=False)])

    async def expire(self) -> None:
        """Run for ever: end each fault when the lab's clock says so."""
        while True:
            await self._clock.wait(self._board.next_expiry())
            for fault in self._board.due():
                try:
                    await self.clear(fault, "expired")
                except (EnvironmentProblem, InvalidRequest) as error:
                    self._tell(fault, f"could not be undone: {error}")

    def fired(self, name: str, event: Mapping[str, Any]) -> None:
        """A node told that a fault happens."""
        self._board.firing(name, event)
        self._events.publish("firing", name, event)
        self._wake()

    def evidence(self, name: str, event: Mapping[str, Any]) -> None:
        """A node told what shows that a fault happened."""
        self._board.evidence(name, event)

    def process_changed(self, change: ProcessChange) -> None:
        """A process did something: the proof of a fault, perhaps, or the end of all that were in it."""
        self._wake()
        self._board.process_changed(change)
        if change.state is State.EXITED:
            for fault, part in list(self._board.on(change.name)):
                if fault.category != "process" or not part.fired:
                    self._board.end(fault, f"{change.name} {change.exit}", node=change.name)

    def restarting(self, name: str) -> list[FaultState]:
        """A process is stopped or started again on purpose: no fault in it survives that. Returns those that ended."""
        self._respawner.forget(name)
        ended = [fault for fault, _ in self._board.on(name)]
        for fault in ended:
            self._board.end(fault, f"{name} was restarted", node=name)
        return ended

    async def _apply(self, fault: FaultState, checked: CheckedFault, node: Node) -> None:
        if checked.on_hop is not None and node.process is not None:
            await self._signal(fault, checked.on_hop, node.process)
            return
        spec = {**checked.given, "id": fault.id}
        if node.process is None:
            await self._set_elsewhere(fault, checked, node, spec)
        else:
            await _or_change(node.instance.set_fault(spec), node, node.process)
            if checked.strikes_at_once(node.name):
                await self._until_struck(fault, node, node.process)

    async def _set_elsewhere(
        self, fault: FaultState, checked: CheckedFault, node: Node, spec: Mapping[str, Any]
    ) -> None:
        """Set a fault on an instance that somebody else runs; for one that strikes it at once, return when it has.

        Who then does not answer any more was struck: that is all that is ever told of it. Where even that was missed,
        as it has been started again meanwhile, nothing is claimed.
        """
        try:
            await node.instance.set_fault(spec)
        except Unreachable as error:
            if not error.sent:
                raise
        if not checked.strikes_at_once(node.name):
            return
        part = fault.parts[node.name]
        try:
            async with asyncio.timeout(EFFECT_DEADLINE):
                while not part.fired:
                    for event in await node.instance.firings():
                        if self._board.is_new(node.name, event):
                            self.fired(node.name, event)
                    await asyncio.sleep(POLL)
        except TimeoutError:
            return
        except Unreachable as error:
            if not part.fired:
                self.fired(node.name, self._board.next_firing(fault, node.name))
            part.seen = str(error)

    async def _until_struck(self, fault: FaultState, node: Node, process: Process) -> None:
        """Wait until a fault that needs no request has happened to its process."""
        try:
            async with asyncio.timeout(EFFECT_DEADLINE):
                while not fault.parts[node.name].fired and process.state is State.RUNNING:
                    waker = asyncio.get_running_loop().create_future()
                    self._wakers.append(waker)
                    await waker
        except TimeoutError:
            raise EnvironmentProblem(f"{node.name} took {fault.kind} but it did not happen") from None
        # it tells before it strikes: once it answers again, or cannot, it has struck
        await _or_change(node.admin.ping(), node, process)
        process.drain()
        if fault.parts[node.name].impossible:
            raise EnvironmentProblem(fault.parts[node.name].impossible)

    async def _signal(self, fault: FaultState, hop_fault: faultspecs.HopFault, process: Process) -> None:
        # noted before the signal is sent, as an instance tells before it strikes: what the kernel says next
        # is the proof
        self.fired(process.name, self._board.next_firing(fault, process.name))
        process.signal(hop_fault.signal)
        if not await process.until(hop_fault.becomes, deadline=EFFECT_DEADLINE):
            raise EnvironmentProblem(f"{process.name} ignored {hop_fault.signal.name}")

    async def _undo(self, fault: FaultState, nodes: Sequence[Node]) -> None:
        done = await asyncio.gather(*(self._undo_on(fault, n) for n in nodes), return_exceptions=True)
        for outcome in done:
            if outcome is not None:
                raise outcome

    async def _undo_on(self, fault: FaultState, node: Node) -> None:
        process = node.process
        if process is not None and process.state is State.FROZEN:
            if self._board.culprit(node.name) is not None:
                return  # another fault keeps it frozen
            process.signal(signal.SIGCONT)
            await process.until(State.RUNNING, State.STARTING, State.EXITED, deadline=EFFECT_DEADLINE)
        if process is not None and await self._respawner.fault_ended(fault, process):
            return
        if node.kind != "hop" and node.answers:
            try:
                await node.instance.clear_fault(fault.id)
            except Unreachable as error:
                if not await node.is_gone(error):  # the dead have no faults
                    raise

    def _wake(self) -> None:
        wakers, self._wakers = self._wakers, []
        for waker in wakers:
            if not waker.done():
                waker.set_result(None)

    def _tell(self, fault: FaultState, what: str) -> None:
        self._events.publish("fault", fault.target, {"what": what, **fault.to_json()})


def _why_unable(node: Node) -> str:
    process = node.process
    if process is None:
        return f"{node.name} does not run"
    if process.state is State.FROZEN:
        return f"{node.name} is frozen; clear that fault, or restart it, first"
    if process.state is State.STARTING:
        return f"{node.name} is still starting"
    return f"{node.name} {process.exit}; restart it first"


async def _or_change(request: Any, node: Node, process: Process) -> None:
    """Wait for the answer, or for the process to die or freeze of the fault before it could give one."""
    asked = asyncio.ensure_future(request)
    struck = asyncio.ensure_future(process.until(State.FROZEN, State.EXITED, deadline=EFFECT_DEADLINE))
    try:
        await asyncio.wait((asked, struck), return_when=asyncio.FIRST_COMPLETED)
        if struck.done():
            return
        try:
            await asked
        except Unreachable as error:
            if not await node.is_gone(error):
                raise
    finally:
        for task in (asked, struck):
            task.cancel()
        await asyncio.gather(asked, struck, return_exceptions=True)
