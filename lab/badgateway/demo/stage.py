"""`badgateway demo`: the stage. It starts a real chain, plays the scenes of `demo_scenes` on it, checks what came out
of each, and hands everything to whoever presents it (`demo_show`).

Nothing is staged beyond the faults: each check is made on what a client received, on what every hop recorded and on
the instances' own counters. One check that does not hold makes the demo fail.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from badgateway.chain.errors import EnvironmentProblem, LabError
from badgateway.chain.faultboard import FaultState
from badgateway.chain.lab import Lab
from badgateway.chain.spec import ChainSpec
from badgateway.processes.forkserver import ForkServer
from badgateway.session.exits import FAILED, HELD
from badgateway.terminal.sending import Sent, send_through
from badgateway.wording import counted

LB_DEADLINE: Final = 0.8
"""Seconds the demo's LB waits for the first byte of a response."""
CDN_DEADLINE: Final = 1.6
"""The same of its CDN: the outer deadline is the longer one, so that the hop next to a fault decides."""
OPEN_FOR: Final = 10.0
"""Seconds the LB's breaker stays open."""
OPENS_AFTER: Final = 5
"""Failures that open it."""

PATIENCE: Final = 4.0
"""Seconds that the demo's client waits; every hop answers before."""

CHAIN: Final[Mapping[str, Any]] = {
    "cdn": {"timeouts": {"first_byte": "1600ms"}},
    "lb": {
        "timeouts": {"first_byte": "800ms"},
        "breaker": {
            "window": {"type": "count", "size": 10},
            "minimum_calls": OPENS_AFTER,
            "open_for": "10s",
            "permitted_probes": 2,
        },
    },
    "app": {"instances": 2},
}


@dataclass(frozen=True)
class Scene:
    """One scene: its title, what it is expected to show, and why that happens; `play` makes it happen."""

    title: str
    why: str
    play: Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Check:
    """One thing that had to hold, and what was measured."""

    what: str
    held: bool
    measured: str = ""


@dataclass
class Result:
    """What one scene did and saw. `shown` is the request whose picture is drawn."""

    done: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    nodes: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def shown(self) -> Sent | None:
        return self.sent[-1] if self.sent else None

    @property
    def held(self) -> bool:
        return all(check.held for check in self.checks)


class Presenter(Protocol):
    """Shows the demo as it goes."""

    def opening(self, lab: Lab, nodes: Sequence[Mapping[str, Any]], seconds: float) -> None:
        """The chain is up."""

    def begin(self, number: int, count: int, scene: Scene) -> None:
        """A scene starts."""

    def end(self, scene: Scene, result: Result) -> None:
        """It is over."""

    def closing(self, results: Sequence[Result], seconds: float) -> None:
        """All scenes are over."""


class Stage:
    """What a scene works with: the lab, requests, and checks. Everything it does is kept in `result`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.result = Result()
        self._faults: list[FaultState] = []

    def did(self, what: str) -> None:
        """Note something that was done to the chain."""
        self.result.done.append(what)

    def check(self, what: str, held: bool, measured: object = "") -> None:
        """Note something that had to hold."""
        self.result.checks.append(Check(what, held, str(measured)))

    async def fault(self, target: str, kind: str, **attributes: object) -> None:
        """Set a fault and note it."""
        state = await self.lab.set_fault(target, {"kind": kind, **attributes})
        self._faults.append(state)
        self.did(f"fault {state.id}: {kind} on {target}")

    async def request(self, path: str = "/products", method: str = "GET") -> Sent:
        """Send one request to the CDN, and wait until every hop has recorded it."""
        sent = await send_through(self.lab, method, path, timeout=PATIENCE)
        self.result.sent.append(sent)
        self.result.nodes = (await self.lab.describe())["nodes"]
        return sent

    async def accepted(self) -> int:
        """How many connections the instances have accepted so far, all together."""
        states = [await self.lab.state(name) for name in self.lab.instances]
        return sum(int(state["accepted"]) for state in states)

    def decided(self, sent: Sent, status: int, by: str, error: str | None) -> None:
        """Check status, who decided and the error type: as the client can read it, and as the hops recorded it."""
        answer, trace = sent.answer, sent.trace
        self.check(f"status {status}", answer.status == status, answer.status)
        self.check(f"decided by {by}", trace.decided_by == by, trace.decided_by)
        self.check(f"error {error or 'none'}", trace.error == error, trace.error)
        told = f"{answer.decided_by}, {answer.error}"
        self.check("Proxy-Status says so too", (answer.decided_by, answer.error) == (by, error), told)

    def relayed(self, sent: Sent, *hops: str) -> None:
        """Check that these hops passed the answer on as it was, with the status that the client got."""
        for hop in hops:
            self.saw(sent, hop, f"{hop} relayed it", generated=False, status=sent.answer.status)

    def took(self, sent: Sent, least: float, most: float) -> None:
        """Check that the client waited at least `least` and at most `most` seconds."""
        elapsed = sent.answer.elapsed
        self.check(f"after {least:g} to {most:g} s", least <= elapsed <= most, f"{elapsed:.3f} s")

    def saw(self, sent: Sent, hop: str, what: str, **expected: object) -> None:
        """Check `what`: these fields of one hop's exchange record."""
        record = next((record for record in sent.trace.hops if record["hop"] == hop), None)
        if record is None:
            self.check(what, held=False, measured=f"no record of {hop}")
            return
        wrong = {name: record.get(name) for name, value in expected.items() if record.get(name) != value}
        self.check(what, not wrong, ", ".join(f"{name} {value}" for name, value in wrong.items()))

    async def prove(self) -> None:
        """Check that every fault that was set really happened, and keep what proves it."""
        await self.lab.faults()  # takes in every firing told up to now
        for fault in self._faults:
            self.check(f"{fault.kind} really happened", fault.fired > 0, counted(fault.fired, "firing"))
            if fault.proof:
                self.result.proofs.append(f"{fault.id} {fault.kind}: {fault.proof}")


async def run_demo(scenes: Sequence[Scene], presenter: Presenter, forkserver: ForkServer | None) -> int:
    """Play `scenes` on a chain of their own, on ephemeral ports.

    Returns:
        0 if everything held, 1 if a check did not.

    Raises:
        EnvironmentProblem: the chain did not come up, or was lost on the way.
    """
    started = time.monotonic()
    results: list[Result] = []
    chain = ChainSpec.model_validate(CHAIN)
    async with await Lab.start(chain, forkserver=forkserver) as lab:
        nodes = (await lab.describe())["nodes"]
        presenter.opening(lab, nodes, time.monotonic() - started)
        for number, scene in enumerate(scenes, start=1):
            presenter.begin(number, len(scenes), scene)
            results.append(await _play(lab, scene))
            presenter.end(scene, results[-1])
            if lab.failure is not None:
                raise EnvironmentProblem(lab.failure)
    presenter.closing(results, time.monotonic() - started)
    return HELD if all(result.held for result in results) else FAILED


async def _play(lab: Lab, scene: Scene) -> Result:
    stage = Stage(lab)
    try:
        await scene.play(stage)
        await stage.prove()
    except LabError as error:
        # A scene that could not be played did not hold; the next ones may, and say more about what is wrong.
        stage.check("the scene could be played", held=False, measured=error)
    return stage.result
