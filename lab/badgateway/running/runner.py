"""Runs scenarios: each in a chain of its own, several at once, and every chain closed again whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from badgateway.alerting.evaluation import firings, samples_of
from badgateway.alerting.rules import ALERTS
from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.inputs.patterns import Span
from badgateway.running.acting import act
from badgateway.running.alerts import check_alerts
from badgateway.running.counterproof import turn_round
from badgateway.running.examples import examples
from badgateway.running.labview import FaultLike, LabFactory, LabLike, UnfitError
from badgateway.running.load import run_traffic
from badgateway.running.measuring import evaluate
from badgateway.running.observations import Observation
from badgateway.running.requesting import SETTLE, Sessions, run_request_step, until
from badgateway.running.results import Check, FaultResult, Moment, ScenarioResult, StepResult, WindowResult
from badgateway.scenario.expressions import Expression
from badgateway.scenario.model import MOST_JUDGED, Scenario
from badgateway.scenario.steps import Action, FaultStep, PauseStep, RequestStep, Step, step_kind, step_title
from badgateway_proxy import parse_duration


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Progress of a run, for whoever shows it. `step` comes with the step kinds, `result` with all others."""

    kind: Literal["started", "ready", "step", "traffic", "done"]
    scenario: Scenario
    result: ScenarioResult
    step: StepResult | None = None


TAKEN_OUT: Final = "taken out"
"""The note of a step that a run leaves out on purpose."""

OnEvent = Callable[[RunEvent], None]


def _ignore(event: RunEvent) -> None:
    """Nobody watches."""


async def run_scenario(scenario: Scenario, lab_factory: LabFactory, *, on_event: OnEvent = _ignore) -> ScenarioResult:
    """Run one scenario in a lab of its own and say what held.

    Failed expectations and a lab that cannot start are in the result, not raised. Cancelling it closes the lab first.
    A scenario without its cause (`badgateway.scenario.causes.without`) holds when one of its expectations failed.
    """
    result = ScenarioResult(scenario, started=time.time())
    run = _Run(scenario, result, on_event)
    on_event(RunEvent("started", scenario, result))
    try:
        async with asyncio.timeout(scenario.deadline) as deadline:
            await run.whole(lab_factory)
    except EnvironmentProblem as error:
        result.outcome, result.why = "environment", str(error)
    except UnfitError as error:
        result.outcome, result.why = "skipped", str(error)
    except InvalidRequest as error:
        result.outcome, result.why = "invalid", str(error)
    except TimeoutError:
        if not deadline.expired():
            raise
        result.outcome, result.why = "failed", f"took longer than {scenario.deadline:g} s"
    result.duration = time.time() - result.started
    if scenario.without:
        turn_round(result)
    on_event(RunEvent("done", scenario, result))
    return result


async def run_many(
    scenarios: Sequence[Scenario],
    lab_factory: LabFactory,
    *,
    jobs: int = 1,
    fail_fast: bool = False,
    on_event: OnEvent = _ignore,
) -> list[ScenarioResult]:
    """Run scenarios, at most `jobs` at a time, and return their results in the order given.

    `fail_fast`: once one did not hold, those not yet begun are skipped. Cancelling it closes every lab.
    """
    turns = asyncio.Semaphore(max(1, jobs))
    failed = asyncio.Event()

    async def one(scenario: Scenario) -> ScenarioResult:
        async with turns:
            if fail_fast and failed.is_set():
                return ScenarioResult(scenario, outcome="skipped", why="an earlier scenario did not hold")
            result = await run_scenario(scenario, lab_factory, on_event=on_event)
            if not result.held:
                failed.set()
            return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(scenario), name=scenario.id) for scenario in scenarios]
    except ExceptionGroup as stopped:
        raise exception_of(stopped) from None
    return [task.result() for task in tasks]


class _Run:
    """One scenario's run."""

    def __init__(self, scenario: Scenario, result: ScenarioResult, on_event: OnEvent) -> None:
        self.scenario, self.result, self.on_event = scenario, result, on_event
        self.faults: list[tuple[FaultLike, FaultResult]] = []
        self.stepped: list[Observation] = []
        self.sessions: Sessions = {}
        self.origin = asyncio.get_running_loop().time()
        self.epoch = time.time()

    def clock(self) -> float:
        """Seconds since the run began."""
        return asyncio.get_running_loop().time() - self.origin

    async def whole(self, lab_factory: LabFactory) -> None:
        """Start a lab, run everything, close the lab."""
        lab = await lab_factory(self.scenario.chain)
        try:
            self.result.ready_after = self.clock()
            self.origin, self.epoch = asyncio.get_running_loop().time(), time.time()
            self._tell("ready")
            if await self._steps(lab):
                await self._traffic(lab)
                self._windows()
                await self._alerts(lab)
            await self._proofs()
        finally:
            await lab.close()
        held = [step.held for step in self.result.steps] + [fault.held for fault in self.result.faults]
        if not all([*held, *(window.check.held for window in self.result.windows)]):
            self.result.outcome = "failed"

    async def _steps(self, lab: LabLike) -> bool:
        """Run the steps until one does not hold; the rest is then skipped, as it could only mislead."""
        for index, step in enumerate(self.scenario.steps):
            done = StepResult(
                index,
                step_kind(step),
                step_title(step),
                self.scenario.position("steps", index)[0],
                note=step.note,
                started=self.clock(),
            )
            self.result.steps.append(done)
            if self.scenario.lacks("steps", index):
                done.skipped, done.note = True, TAKEN_OUT
                continue
            if not all(earlier.held for earlier in self.result.steps[:index]):
                done.skipped = True
                continue
            await self._step(step, lab, done)
            done.duration = self.clock() - done.started
            self._tell("step", done)
        return all(step.held for step in self.result.steps)

    async def _step(self, step: Step, lab: LabLike, done: StepResult) -> None:
        if isinstance(step, RequestStep):
            faults = [fault for fault, _ in self.faults]
            requested = await run_request_step(step, lab, faults, self.clock, self.sessions)
            done.checks, done.seen = requested.checks, requested.shown
            done.requests = len(requested.observations)
            self.stepped += requested.observations
        elif isinstance(step, PauseStep):
            await asyncio.sleep(step.pause)
        else:
            await self._act(step, lab, done.line)

    async def _act(self, action: Action, lab: LabLike, line: int) -> None:
        fault = await act(action, lab)
        if fault is not None and isinstance(action, FaultStep):
            told = FaultResult(fault.id, fault.target, fault.kind, line, may_not_fire=action.fault.may_not_fire)
            self.faults.append((fault, told))
            self.result.faults.append(told)

    async def _traffic(self, lab: LabLike) -> None:
        if not self.scenario.traffic:
            return
        self._tell("traffic")
        origin, self.epoch = asyncio.get_running_loop().time(), time.time()
        seen = self.result.observations
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._timeline(lab, origin))
                group.create_task(run_traffic(self.scenario.traffic, lab.urls, seen, origin=origin))
        except ExceptionGroup as stopped:
            raise exception_of(stopped) from None
        self.result.examples = await examples(seen, lab)

    async def _timeline(self, lab: LabLike, origin: float) -> None:
        moments = sorted(enumerate(self.scenario.timeline), key=lambda entry: entry[1].at)
        for index, moment in moments:
            if self.scenario.lacks("timeline", index):
                continue
            ahead = origin + moment.at - asyncio.get_running_loop().time()
            if ahead > 0:
                await asyncio.sleep(ahead)
            line, at = self.scenario.position("timeline", index)[0], asyncio.get_running_loop().time() - origin
            await self._act(moment.action, lab, line)
            self.result.moments.append(Moment(at, step_title(moment.action), line, _end(moment.action, at)))

    def _windows(self) -> None:
        seen = self.result.observations if self.scenario.traffic else self.stepped
        end = max((stream.end for stream in self.scenario.traffic), default=self.clock())
        for index, expected in enumerate(self.scenario.expect):
            if expected.that is None:
                continue
            inside = [o for o in seen if expected.window.contains(o.intended)]
            line = self.scenario.position("expect", index)[0]
            check = _window_check(expected.that, inside, expected.window, end)
            window = expected.window
            told = WindowResult(index, line, str(window), len(inside), check, window.low, window.high)
            self.result.windows.append(told)

    async def _alerts(self, lab: LabLike) -> None:
        """What the alerts did, by the records that the hops have by now."""
        judged = [(i, expected) for i, expected in enumerate(self.scenario.expect) if expected.alerts is not None]
        if not judged:
            return
        now = time.time() - self.epoch
        traces = await lab.exchanges(limit=MOST_JUDGED)
        samples = samples_of((record for trace in traces for record in trace.hops), self.epoch)
        fired = firings(ALERTS.values(), samples, until=now)
        for index, expected in judged:
            assert expected.alerts is not None
            line = self.scenario.position("expect", index)[0]
            for check in check_alerts(expected.alerts, fired, expected.window, shown=bool(samples)):
                self.result.windows.append(WindowResult(index, line, str(expected.window), len(samples), check))

    async def _proofs(self) -> None:
        """Every fault set must have fired; a firing is told through a pipe, and may arrive after its effect."""

        async def fired() -> bool:
            return all(fault.fired or told.may_not_fire for fault, told in self.faults)

        # a scenario that has failed already is told so without waiting for what may never come
        if all(step.held for step in self.result.steps):
            await until(fired, SETTLE)
        for fault, told in self.faults:
            told.fired = fault.fired

    def _tell(self, kind: Literal["ready", "step", "traffic"], step: StepResult | None = None) -> None:
        self.on_event(RunEvent(kind, self.scenario, self.result, step))


def _end(action: Action, begun: float) -> float | None:
    """When what was done is over by itself, None if never."""
    lasts = action.fault.spec.get("for") if isinstance(action, FaultStep) else None
    return None if lasts is None else begun + parse_duration(lasts)


def _window_check(expression: Expression, inside: Sequence[Observation], window: Span, end: float) -> Check:
    seconds = min(end, window.high if window.high is not None else end) - window.low
    verdict = evaluate(expression, inside, seconds)
    return Check(str(expression), "to hold", verdict.text, verdict.held)


def exception_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """The exception that stopped a task group, out of however many groups it is wrapped in."""
    inner: BaseException = group.exceptions[0]
    return exception_of(inner) if isinstance(inner, BaseExceptionGroup) else inner
