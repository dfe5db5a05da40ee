"""The faults that are set on this instance: when they end, which act on a request, and the proof that they did."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from badgateway_upstream.clock import Clock
from badgateway_upstream.durations import format_duration
from badgateway_upstream.engine.activefault import ActiveFault, Exchange, Firing, OneTime
from badgateway_upstream.engine.registry import (
    Break,
    FaultSpec,
    Handshake,
    Lookup,
    Process,
    ProcessControls,
    Script,
    Shape,
)
from badgateway_upstream.engine.schedule import Occasion
from badgateway_upstream.wire.payloads import Payload
from badgateway_upstream.wire.steps import Drip, Respond, Send, Step

_LOG: Final = logging.getLogger("badgateway_upstream.engine.book")
MOST_FAULTS: Final = 100


class RefusedError(Exception):
    """A fault that cannot be set. `status` is the HTTP status that the control API gives it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Plan:
    """What the faults do to one request (or to one accepted connection)."""

    script: OneTime | None = None
    broken: OneTime | None = None
    handshake: OneTime | None = None
    shapes: list[OneTime] = field(default_factory=list)
    processes: list[OneTime] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether no fault acts."""
        return not (self.script or self.broken or self.handshake or self.shapes or self.processes)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long faults last, in seconds, and where their files are."""

    default_duration: float = 60.0
    longest: float = 600.0
    files: Path | None = None


class Book:
    """Holds the active faults. ``emit`` writes an event; ``end_process_fault`` undoes a process fault that lasts."""

    def __init__(
        self,
        instance: str,
        clock: Clock,
        limits: Limits,
        emit: Callable[[dict[str, Any]], None],
        end_process_fault: Callable[[ActiveFault], None],
        *,
        records: int = 1000,
    ) -> None:
        self.instance = instance
        self.limits = limits
        self.firings: deque[Firing] = deque(maxlen=records)
        self._clock = clock
        self._emit = emit
        self._end_process_fault = end_process_fault
        self._faults: dict[str, ActiveFault] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._faults)

    def faults(self) -> list[ActiveFault]:
        """Those that are set now, oldest first."""
        self.sweep()
        return list(self._faults.values())

    def get(self, fault_id: str) -> ActiveFault | None:
        """The fault of that id, if it is set."""
        self.sweep()
        return self._faults.get(fault_id)

    def add(self, spec: FaultSpec) -> ActiveFault:
        """Set a fault. Raises RefusedError: too many, too long, id taken, a file that may not be sent."""
        self.sweep()
        fault_id = spec.id or self._free_id()
        if fault_id in self._faults:
            raise RefusedError(409, f"there is a fault with id {fault_id!r} already; delete it first")
        if len(self._faults) >= MOST_FAULTS:
            raise RefusedError(409, f"{MOST_FAULTS} faults are set already; delete one first")
        limits = self.limits
        duration = min(limits.default_duration, limits.longest) if spec.for_ is None else spec.for_
        if duration > limits.longest:
            raise RefusedError(
                400,
                f"for: a fault may last {format_duration(limits.longest)} here at most (--max-fault-duration)",
            )
        self._count += 1
        expires = self._clock.now() + duration
        fault = ActiveFault(fault_id, spec, expires, self._draw(spec), self._clock, self._count)
        self._check_files(fault)
        self._faults[fault_id] = fault
        self._arm()
        return fault

    def remove(self, fault_id: str) -> bool:
        """End a fault now; False when there is none of that id."""
        fault = self._faults.pop(fault_id, None)
        if fault is None:
            return False
        fault.ended.set()
        if fault.begun:
            self._end_process_fault(fault)
        self._arm()
        return True

    def clear(self) -> None:
        """End all faults now."""
        for fault_id in list(self._faults):
            self.remove(fault_id)

    def sweep(self) -> None:
        """End what has expired by the clock; call it after advancing the clock."""
        if self._faults:
            now = self._clock.now()
            for fault in [fault for fault in self._faults.values() if fault.expires_at <= now]:
                self.remove(fault.id)

    def plan(
        self, occasion: Occasion, exchange: Exchange | None, peer: str | None, *, accepting: bool = False
    ) -> Plan | None:
        """Which faults act on this occasion; None when none does.

        Of those that replace the answer (scripts, exceptions) the one set last acts; the others are not asked. Flow
        faults act all, in the order they were set.
        """
        if not self._faults:
            return None
        self.sweep()
        plan = Plan()
        for fault in reversed(list(self._faults.values())):
            effect = fault.kind.effect
            replaces = isinstance(effect, Script | Break | Handshake)
            if fault.kind.before_the_request != accepting or isinstance(effect, Lookup):
                continue
            if isinstance(effect, Process) and fault.spec.when.at_once:
                continue  # it acted when it was set
            if replaces and (plan.script or plan.broken or plan.handshake) is not None:
                continue
            if not fault.kind.applies(fault.spec, occasion) or not fault.schedule.decide(occasion):
                continue
            _put(plan, OneTime(fault, partial(self.record, fault, exchange, peer)))
        return plan

    def lookup(self, occasion: Occasion, peer: str) -> OneTime | None:
        """Which fault acts on a DNS question, whose name is the occasion's path: the one set last; None: none does."""
        self.sweep()
        for fault in reversed(list(self._faults.values())):
            concerned = isinstance(fault.kind.effect, Lookup) and fault.kind.applies(fault.spec, occasion)
            if concerned and fault.schedule.decide(occasion):
                return OneTime(fault, partial(self.record, fault, None, peer))
        return None

    def record(self, fault: ActiveFault, exchange: Exchange | None, peer: str | None) -> None:
        """Count a firing, keep it, and tell it before its effect happens."""
        fault.fired += 1
        request_id = exchange.request_id if exchange is not None else None
        firing = Firing(
            fault=fault.id,
            kind=fault.spec.kind,
            n=fault.fired,
            firing=f"{fault.id}.{fault.fired}",
            instance=self.instance,
            request_id=request_id,
            peer=peer,
            time=time.time(),
        )
        self.firings.append(firing)
        if exchange is not None:
            exchange.firings.append(firing.firing)
        self._emit(firing.event())

    def begin(self, fault: ActiveFault, process: ProcessControls) -> None:
        """Have a process fault happen, whose firing was recorded, and tell what shows that it did."""
        effect = fault.kind.effect
        if not isinstance(effect, Process):
            return
        try:
            fault.evidence = effect.begin(fault.spec, process, fault.left) or ""
            fault.begun = True
        except OSError as error:
            fault.evidence = f"did not happen: {error}"
            _LOG.error("%s (%s) %s", fault.id, fault.spec.kind, fault.evidence)
        if fault.evidence:
            event = {"event": "evidence", "fault": fault.id, "evidence": fault.evidence, "happened": fault.begun}
            self._emit(event)

    def _free_id(self) -> str:
        number = self._count + 1
        while f"f-{number}" in self._faults:
            number += 1
        return f"f-{number}"

    def _draw(self, spec: FaultSpec) -> random.Random:
        seed = spec.when.seed
        if seed is None:
            return random.Random()  # noqa: S311 - decides on faults, guards nothing
        # Instances with the same seed must not all fail at once; a string seeds the same on every run.
        return random.Random(f"{seed}/{self.instance}")  # noqa: S311

    def _check_files(self, fault: ActiveFault) -> None:
        try:
            for payload in _payloads(fault.script):
                payload.check_files(self.limits.files)
        except ValueError as error:
            raise RefusedError(400, str(error)) from error

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._faults:
            soonest = min(fault.left for fault in self._faults.values())
            self._timer = asyncio.get_running_loop().call_later(soonest, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.sweep()
        if self._timer is None:
            self._arm()


def _put(plan: Plan, one_time: OneTime) -> None:
    match one_time.fault.kind.effect:
        case Script():
            plan.script = one_time
        case Break():
            plan.broken = one_time
        case Handshake():
            plan.handshake = one_time
        case Shape():
            plan.shapes.insert(0, one_time)
        case Process():
            plan.processes.insert(0, one_time)


def _payloads(script: Iterable[Step]) -> Iterable[Payload]:
    for step in script:
        if isinstance(step, Send):
            yield step.send
        elif isinstance(step, Drip):
            yield step.drip.send
        elif isinstance(step, Respond) and step.respond.header is not None:
            yield step.respond.header
