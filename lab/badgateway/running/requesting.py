"""A request step at work: sends, and gathers what its expectation needs to be judged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from badgateway.chain.errors import EnvironmentProblem
from badgateway.running.answer import Answer
from badgateway.running.checking import first_unmet, needs_trace
from badgateway.running.labview import FaultLike, LabLike
from badgateway.running.measuring import evaluate
from badgateway.running.observations import Observation
from badgateway.running.probe import Pace, send
from badgateway.running.results import Check, Seen, TraceLike
from badgateway.scenario.expectation import Expectation
from badgateway.scenario.request import Request
from badgateway.scenario.steps import RequestStep

SETTLE = 1.0
"""Seconds within which breaker states and firings that follow a response must have arrived."""

_POLL = 0.02


Sessions = dict[str, dict[str, str]]
"""The cookies of clients that keep them: by the session's name, values by cookies' names."""


@dataclass(frozen=True, slots=True)
class Requested:
    """What a request step came to."""

    checks: list[Check]
    shown: Seen
    observations: list[Observation]


async def run_request_step(
    step: RequestStep, lab: LabLike, faults: Sequence[FaultLike], clock: Callable[[], float], sessions: Sessions
) -> Requested:
    """Send the step's requests and check them.

    `faults`: all set so far. `clock`: seconds since the scenario began. `sessions`: the cookies of each, kept up to
    date.
    """
    expect = step.expect
    if expect.faults is not None:
        await lab.faults()  # so that what has fired before this step is counted before it
    fired = sum(fault.fired for fault in faults)
    counters = await _Counters.read(lab) if _counted(expect) else None
    answers, observations = await _send_all(step.request, lab.urls[step.request.to], clock, sessions)
    entry = step.request.to if step.request.to in lab.hops else None
    seen = [
        Seen(answer, await _trace(lab, answer, entry) if needs_trace(expect, answer) else None) for answer in answers
    ]
    checks, shown = first_unmet(expect, seen)
    if shown.trace is None:
        shown = Seen(shown.answer, await _trace(lab, shown.answer, entry))
    if counters is not None:
        checks += await counters.checks(lab, expect)
    # what has failed already is told so without waiting for what may never come
    patience = SETTLE if all(check.held for check in checks) else 0.0
    checks += await _breakers(lab, expect, patience)
    checks += await _endpoints(lab, expect, patience)
    checks += await _fired(expect, faults, fired, patience)
    lasted = max(o.ended for o in observations) - min(o.intended for o in observations)
    for expression in expect.that:
        verdict = evaluate(expression, observations, lasted)
        checks.append(Check("that", str(expression), verdict.text, verdict.held))
    return Requested(checks, shown, observations)


async def _send_all(
    request: Request, url: str, clock: Callable[[], float], sessions: Sessions
) -> tuple[list[Answer], list[Observation]]:
    body = None if request.body is None else request.body.encode()
    headers = list(request.headers.items())
    if request.json_body is not None:
        body = json.dumps(request.json_body).encode()
        if "content-type" not in {name.lower() for name in request.headers}:
            headers.append(("Content-Type", "application/json"))
    pace = None if request.drip is None else Pace(request.drip.bytes, request.drip.every)
    turns = asyncio.Semaphore(request.concurrency)
    cookies = None if request.session is None else sessions.setdefault(request.session, {})

    async def one() -> tuple[Answer, Observation]:
        async with turns:
            started = clock()
            for _ in range(request.tries):
                sent = [*headers, *cookie_header(cookies or {})]
                answer = await send(
                    url, request.method, request.path, sent, body, request.timeout, version=request.version, pace=pace
                )
                if cookies is not None:
                    keep_cookies(cookies, answer)
                if answer.status is not None and answer.status < 500:
                    break
            # a step's request is due when it is sent
            seen = answer.observed(request.method, request.path, intended=started, started=started, ended=clock())
            return answer, seen

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(request.times)]
    pairs = [task.result() for task in tasks]
    return [answer for answer, _ in pairs], [observation for _, observation in pairs]


def keep_cookies(cookies: dict[str, str], answer: Answer) -> None:
    """Take in a response's cookies: names and values only (RFC 6265 section 5.2 without its attributes)."""
    for line in answer.header_values("set-cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        cookies[name.strip()] = value.strip()


def cookie_header(cookies: Mapping[str, str]) -> list[tuple[str, str]]:
    """The Cookie field that sends them back (RFC 6265 section 5.4); none where there are none."""
    return [("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()))] if cookies else []


async def _trace(lab: LabLike, answer: Answer, entry: str | None) -> TraceLike | None:
    """The trace of a request, as whole as it gets: the lab waits for the records that must still come."""
    if entry is None or answer.failure == "refused":
        return None  # no hop can have seen it
    # a hop that could not read the request has given it an id of its own
    found = await lab.exchanges(request_id=answer.header("X-Request-ID") or answer.request_id)
    return found[-1] if found else None


def _counted(expect: Expectation) -> bool:
    return expect.app_requests is not None or expect.app_connections is not None


class _Counters:
    """How many connections and requests each instance has had; None for one that does not answer."""

    def __init__(self, before: dict[str, dict[str, Any] | None]) -> None:
        self._before = before

    @classmethod
    async def read(cls, lab: LabLike) -> _Counters:
        return cls(await _states(lab))

    async def checks(self, lab: LabLike, expect: Expectation) -> list[Check]:
        wanted = [
            ("app_requests", "requests", expect.app_requests),
            ("app_connections", "accepted", expect.app_connections),
        ]
        checks: list[Check] = []
        after = await _states(lab)
        for name, key, pattern in wanted:
            if pattern is None:
                continue
            died = [i for i, state in after.items() if state is None and self._before[i] is not None]
            if died:
                measured = f"unknown: {', '.join(died)} does not answer any more"
                checks.append(Check(name, str(pattern), measured, held=False))
                continue
            count = sum(int(s[key]) - self._start(i, s, key) for i, s in after.items() if s is not None)
            checks.append(Check(name, str(pattern), str(count), pattern.matches(count)))
        return checks

    def _start(self, instance: str, now: dict[str, Any], key: str) -> int:
        before = self._before[instance]
        # another process under the same name counts from zero
        return int(before[key]) if before is not None and before.get("pid") == now.get("pid") else 0


async def _states(lab: LabLike) -> dict[str, dict[str, Any] | None]:
    states: dict[str, dict[str, Any] | None] = {}
    for instance in lab.instances:
        try:
            states[instance] = dict(await lab.state(instance))
        except EnvironmentProblem:
            states[instance] = None
    return states


async def _breakers(lab: LabLike, expect: Expectation, patience: float) -> list[Check]:
    checks = []
    for hop, wanted in expect.breaker.items():
        state = ""

        async def reached(hop: str = hop, wanted: str = wanted) -> bool:
            nonlocal state
            state = str((await lab.state(hop))["breaker"]["state"])
            return state == wanted

        await until(reached, patience)
        checks.append(Check(f"breaker.{hop}", wanted, state, state == wanted))
    return checks


async def _endpoints(lab: LabLike, expect: Expectation, patience: float) -> list[Check]:
    checks = []
    for hop, states in expect.endpoints.items():
        for name, wanted in states.items():
            port, state = f":{urlsplit(lab.urls[name]).port}", ""

            async def reached(hop: str = hop, port: str = port, wanted: str = wanted) -> bool:
                nonlocal state
                endpoints = (await lab.state(hop))["endpoints"]
                # By port, as a chain with DNS has names for hosts; a lab's nodes are all on one machine.
                state = next(
                    (str(each["state"]) for each in endpoints if each["address"].endswith(port)), "no endpoint"
                )
                return state == wanted

            await until(reached, patience)
            checks.append(Check(f"endpoints.{hop}.{name}", wanted, state, state == wanted))
    return checks


async def _fired(expect: Expectation, faults: Sequence[FaultLike], before: int, patience: float) -> list[Check]:
    if expect.faults is None:
        return []
    pattern = expect.faults.fired

    async def reached() -> bool:
        return pattern.matches(sum(fault.fired for fault in faults) - before)

    await until(reached, patience)
    count = sum(fault.fired for fault in faults) - before
    return [Check("faults.fired", str(pattern), str(count), pattern.matches(count))]


async def until(reached: Callable[[], Any], seconds: float) -> bool:
    """Poll an async condition until it holds or the time is up; return whether it held."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await reached():
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_POLL)
    return True
