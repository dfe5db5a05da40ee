"""Every fault set through the lab: where it is, how often it fired, and what proves that it happened. No I/O here."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.problems import did_you_mean
from badgateway.processes.supervisor import ProcessChange, State

FIRINGS_KEPT = 1000
OVER_KEPT = 1000
"""Faults that are over and still remembered, oldest dropped first."""
COMMON = frozenset(("kind", "id", "for", "when"))
"""Keys of a fault's spec that are not attributes of its kind."""


@dataclass(slots=True)
class FaultPart:
    """What a fault is on one node. `evidence`: what a process says shows it. `over` says why it is no more,
    `impossible` why it cannot happen; else empty.
    """

    node: str
    fired: int = 0
    last: str = ""
    seen: str = ""
    evidence: str = ""
    impossible: str = ""
    over: str = ""

    @property
    def proof(self) -> str:
        """What shows that it happened here: what the kernel said of the process, else the process, else a firing."""
        return self.seen or (f"{self.node}: {self.evidence}" if self.evidence else self.last)

    def to_json(self) -> dict[str, Any]:
        """The part as plain data; `evidence` where there is some."""
        told = {"evidence": self.evidence} if self.evidence else {}
        return {"node": self.node, "fired": self.fired, "proof": self.proof, "over": self.over, **told}


@dataclass(slots=True)
class FaultState:
    """One fault. The lab keeps the object up to date, after the fault is over too.

    `category` is the kind's (process, connection, …). `set_at`: epoch seconds. `expires_at`: by the lab's
    clock, as is `now` below; a fault on "app" has one part an instance.
    """

    id: str
    target: str
    kind: str
    category: str
    attributes: dict[str, Any]
    when: dict[str, Any]
    expires_at: float
    clock: Any
    parts: dict[str, FaultPart]
    firings: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=FIRINGS_KEPT))
    set_at: float = field(default_factory=time.time)

    @property
    def active(self) -> bool:
        """Whether it is in force anywhere."""
        return any(not part.over for part in self.parts.values())

    @property
    def fired(self) -> int:
        """How often it happened, on all nodes together."""
        return sum(part.fired for part in self.parts.values())

    @property
    def expires_in(self) -> float:
        """Seconds until it expires; 0 once it is over."""
        return max(0.0, self.expires_at - self.clock.now()) if self.active else 0.0

    @property
    def proof(self) -> str:
        """What shows that it happened, node by node; empty while nothing does."""
        return "; ".join(part.proof for part in self.parts.values() if part.proof)

    def to_json(self) -> dict[str, Any]:
        """The fault as plain data."""
        return {
            "id": self.id,
            "target": self.target,
            "kind": self.kind,
            "category": self.category,
            "attributes": self.attributes,
            "when": self.when,
            "active": self.active,
            "fired": self.fired,
            "firings": list(self.firings),
            "set_at": self.set_at,
            "expires_in": round(self.expires_in, 3),
            "proof": self.proof,
            "parts": [part.to_json() for part in self.parts.values()],
        }


class FaultBoard:
    """The book of all faults of a lab."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._faults: dict[str, FaultState] = {}

    def new_id(self, wanted: str | None) -> str:
        """An id that no fault has had: `wanted`, or the next f-N.

        Raises:
            InvalidRequest: `wanted` is taken.
        """
        if wanted is None:
            return next(id_ for n in self._numbers if (id_ := f"f-{n}") not in self._faults)
        if wanted in self._faults and self._faults[wanted].active:
            raise InvalidRequest(f'there is a fault with id "{wanted}" already; clear it first')
        return wanted

    def add(
        self, id_: str, target: str, nodes: Sequence[str], spec: Mapping[str, Any], *, category: str, lasts: float
    ) -> FaultState:
        """Note a fault that is about to be set on `nodes`, for `lasts` seconds of the lab's clock."""
        fault = FaultState(
            id=id_,
            target=target,
            kind=str(spec["kind"]),
            category=category,
            attributes={key: value for key, value in spec.items() if key not in COMMON},
            when=dict(spec.get("when") or {}),
            expires_at=self._clock.now() + lasts,
            clock=self._clock,
            parts={node: FaultPart(node) for node in nodes},
        )
        self._faults.pop(id_, None)
        self._faults[id_] = fault
        over = [old for old in self._faults.values() if not old.active]
        for old in over[: max(0, len(over) - OVER_KEPT)]:
            del self._faults[old.id]
        self._clock.changed()
        return fault

    def discard(self, fault: FaultState) -> None:
        """Forget a fault that could not be set."""
        self._faults.pop(fault.id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._faults.clear()

    def get(self, id_: str) -> FaultState:
        """The fault with this id.

        Raises:
            InvalidRequest: there is none.
        """
        if id_ not in self._faults:
            hint = did_you_mean(id_, self._faults) or "none is set"
            raise InvalidRequest(f'no fault has the id "{id_}"; {hint}')
        return self._faults[id_]

    def all(self, *, ended: bool) -> list[FaultState]:
        """Every fault in force, oldest first; with `ended`, those that are over too."""
        return [fault for fault in self._faults.values() if ended or fault.active]

    def on(self, node: str) -> Iterator[tuple[FaultState, FaultPart]]:
        """Every fault in force on a node, oldest first."""
        for fault in self._faults.values():
            part = fault.parts.get(node)
            if part is not None and not part.over:
                yield fault, part

    def firing(self, node: str, event: Mapping[str, Any]) -> FaultState | None:
        """A node told that a fault happens. None for one that was not set through the lab."""
        fault = self._faults.get(str(event.get("fault")))
        part = fault.parts.get(node) if fault else None
        if fault is None or part is None:
            return None
        part.fired += 1
        struck = event.get("request_id") or event.get("peer")
        part.last = f"firing {event.get('firing')} on {node}" + (f" struck {struck}" if struck else "")
        fault.firings.append(dict(event))
        return fault

    def next_firing(self, fault: FaultState, node: str) -> dict[str, Any]:
        """The event of a firing that the node does not tell itself, as it would."""
        number = fault.parts[node].fired + 1
        return {
            "event": "firing",
            "fault": fault.id,
            "kind": fault.kind,
            "n": number,
            "firing": f"{fault.id}.{number}",
            "instance": node,
            "request_id": None,
            "peer": None,
            "time": time.time(),
        }

    def evidence(self, node: str, event: Mapping[str, Any]) -> None:
        """A node told what shows that a process fault happened there, or why it could not."""
        fault = self._faults.get(str(event.get("fault")))
        part = fault.parts.get(node) if fault else None
        if part is not None:
            part.evidence = str(event.get("evidence"))
            part.impossible = "" if event.get("happened") else f"{node}: {part.evidence}"

    def is_new(self, node: str, event: Mapping[str, Any]) -> bool:
        """Whether a firing has not been noted yet; of a fault that is not ours, never."""
        fault = self._faults.get(str(event.get("fault")))
        part = fault.parts.get(node) if fault else None
        return part is not None and int(event["n"]) > part.fired

    def process_changed(self, change: ProcessChange) -> FaultState | None:
        """A process died or froze: proof for the process fault that fired on it last, which is returned."""
        if change.state not in (State.EXITED, State.FROZEN):
            return None
        culprit = self.culprit(change.name)
        if culprit is not None:
            what = change.exit if change.exit is not None else "was seen stopped by SIGSTOP"
            culprit.parts[change.name].seen = f"{change.name} (pid {change.pid}) {what}"
        return culprit

    def culprit(self, node: str) -> FaultState | None:
        """The process fault in force on a node that fired last."""
        fired = [f for f, part in self.on(node) if f.category == "process" and part.fired]
        return max(fired, key=lambda f: f.firings[-1]["time"], default=None)

    def end(self, fault: FaultState, why: str, *, node: str | None = None) -> None:
        """A fault is over, on one node or on all."""
        for part in fault.parts.values():
            if not part.over and node in (None, part.node):
                part.over = why

    def next_expiry(self) -> float | None:
        """When the next fault expires, by the lab's clock."""
        return min((fault.expires_at for fault in self._faults.values() if fault.active), default=None)

    def due(self) -> list[FaultState]:
        """The faults that have expired and are not over yet."""
        now = self._clock.now()
        return [fault for fault in self._faults.values() if fault.active and fault.expires_at <= now]
