"""One fault that is set, and one time that it acts: with the proof that it did."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from badgateway_upstream.clock import Clock
from badgateway_upstream.engine.registry import FAULTS, FaultSpec, FaultType, Process, Script
from badgateway_upstream.engine.schedule import Schedule
from badgateway_upstream.wire.steps import Step, parse_steps


@dataclass(frozen=True, slots=True)
class Firing:
    """The proof that a fault happened: the nth time, to which request."""

    fault: str
    kind: str
    n: int
    firing: str
    instance: str
    request_id: str | None
    peer: str | None
    time: float

    def event(self) -> dict[str, Any]:
        """As a line on stdout."""
        return {"event": "firing", **asdict(self)}


@dataclass(slots=True)
class Exchange:
    """One request as this instance saw it, for `GET /requests`. `started`: epoch seconds; `duration`: seconds."""

    id: int
    request_id: str | None
    peer: str
    method: str
    target: str
    started: float
    status: int | None = None
    firings: list[str] = field(default_factory=list)
    duration: float | None = None


class ActiveFault:
    """One fault that is set: its schedule, its end, its count."""

    def __init__(
        self, fault_id: str, spec: FaultSpec, expires_at: float, draw: random.Random, clock: Clock, order: int
    ) -> None:
        self.id = fault_id
        self.spec = spec
        self.kind: FaultType[Any] = FAULTS[spec.kind]
        self.schedule = Schedule(spec.when, draw)
        self.random = draw
        self.expires_at = expires_at
        self.set_at = time.time()
        self.fired = 0
        self.begun = False
        self.evidence = ""
        self.ended = asyncio.Event()
        self.order = order
        self._clock = clock
        effect = self.kind.effect
        self.script: list[Step] = parse_steps(effect.steps(spec)) if isinstance(effect, Script) else []

    @property
    def left(self) -> float:
        """Seconds until it expires, by the instance's clock."""
        return max(0.0, self.expires_at - self._clock.now())

    def state(self) -> dict[str, Any]:
        """As `GET /faults` shows it. `begun`, of process faults: the effect has set in; `evidence`: what shows it."""
        begun: dict[str, Any] = {}
        if isinstance(self.kind.effect, Process):
            begun = {"begun": self.begun, "evidence": self.evidence}
        return {
            **self.spec.model_dump(mode="json", exclude_none=True, exclude={"when"}),
            "id": self.id,
            "when": self.spec.when.model_dump(mode="json", exclude_none=True),
            "fired": self.fired,
            "matched": self.schedule.matched,
            "set_at": self.set_at,
            "expires_in": round(self.left, 3),
            **begun,
        }


class OneTime:
    """One time that a fault acts on something (`registry.Occurrence`)."""

    __slots__ = ("_fault", "_fired", "_record")

    def __init__(self, fault: ActiveFault, record: Callable[[], None]) -> None:
        self._fault = fault
        self._record = record
        self._fired = False

    @property
    def fault(self) -> ActiveFault:
        """The fault that acts."""
        return self._fault

    @property
    def random(self) -> random.Random:
        """The fault's own generator."""
        return self._fault.random

    def fire(self) -> None:
        """Prove that it happens, once."""
        if not self._fired:
            self._fired = True
            self._record()

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the fault lasts; always lets others run."""
        if self._fault.ended.is_set() or seconds <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._fault.ended.wait()
        except TimeoutError:
            pass
