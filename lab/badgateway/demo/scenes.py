"""The ten scenes of `badgateway demo`, in order. Each breaks something real and says what must come out of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from badgateway.demo.stage import CDN_DEADLINE, LB_DEADLINE, OPEN_FOR, OPENS_AFTER, Scene, Stage
from badgateway.wording import counted

SCENES: Final[list[Scene]] = []
"""Filled by `@scene`, in the order of this file."""

SLACK: Final = 1.0
"""Seconds that a loaded machine may add to a deadline."""


def scene(title: str, why: str) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[Stage], Awaitable[None]]]:
    """Add a scene to the demo."""

    def add(play: Callable[[Stage], Awaitable[None]]) -> Callable[[Stage], Awaitable[None]]:
        SCENES.append(Scene(title, why, play))
        return play

    return add


@scene(
    "All is well: 200",
    "The app answered; both hops only relayed it. No hop put an error into Proxy-Status, so the app decided.",
)
async def healthy(stage: Stage) -> None:
    sent = await stage.request()
    stage.decided(sent, 200, "app", None)
    stage.relayed(sent, "cdn", "lb")


@scene(
    "Every app is killed: 502 at the LB",
    "Nobody listens on the apps' ports any more, so the kernel refuses the LB's connection. The LB had to make up an "
    "answer itself; the CDN got a proper response, a 502, and relayed it.",
)
async def killed(stage: Stage) -> None:
    await stage.fault("app", "crash")
    sent = await stage.request()
    stage.decided(sent, 502, "lb", "connection_refused")
    stage.relayed(sent, "cdn")
    await stage.lab.clear_faults()


@scene(
    "The apps are started again: 200",
    "Same ports, new processes. The LB kept no grudge: its breaker needs more than one failure to open.",
)
async def restarted(stage: Stage) -> None:
    before = {node["name"]: node["pid"] for node in (await stage.lab.describe())["nodes"]}
    for name in stage.lab.instances:
        await stage.lab.restart(name)
        stage.did(f"{name} restarted")
    sent = await stage.request()
    stage.decided(sent, 200, "app", None)
    fresh = [node["name"] for node in stage.result.nodes if node["pid"] != before[node["name"]]]
    stage.check("both instances are new processes", fresh == list(stage.lab.instances), ", ".join(fresh))


@scene(
    "The app hangs: 504 at the LB's deadline",
    "The app took the request and never answered. The LB waits 800 ms for a first byte and then answers itself. The "
    "CDN would have waited 1600 ms: the outer deadline is the longer one, so that the hop next to the trouble decides.",
)
async def hanging(stage: Stage) -> None:
    await stage.fault("app", "hang")
    sent = await stage.request()
    stage.decided(sent, 504, "lb", "http_response_timeout")
    stage.took(sent, LB_DEADLINE, LB_DEADLINE + SLACK)
    stage.relayed(sent, "cdn")
    stage.check("the app did get the request", bool(sent.trace.app), counted(len(sent.trace.app), "request"))
    await stage.lab.clear_faults()


@scene(
    "The LB is frozen: 504 at the CDN",
    "SIGSTOP: the process is there and its kernel accepts connections and bytes, but nobody reads them. Only a "
    "deadline can notice, and the next one outwards is the CDN's. The app is fine and never heard of the request.",
)
async def frozen(stage: Stage) -> None:
    await stage.fault("lb", "freeze")
    sent = await stage.request()
    stage.decided(sent, 504, "cdn", "http_response_timeout")
    stage.took(sent, CDN_DEADLINE, CDN_DEADLINE + SLACK)
    stage.check("the app never saw it", not sent.trace.app, counted(len(sent.trace.app), "request"))
    await stage.lab.clear_faults()


@scene(
    "The LB is killed: 502 at the CDN",
    "The same refusal as before, one hop further out: now it is the CDN that finds nobody. Same status, other culprit; "
    "only Proxy-Status tells them apart.",
)
async def lb_killed(stage: Stage) -> None:
    await stage.fault("lb", "crash")
    sent = await stage.request()
    stage.decided(sent, 502, "cdn", "connection_refused")
    stage.check("the app never saw it", not sent.trace.app, counted(len(sent.trace.app), "request"))
    await stage.lab.clear_faults()
    await stage.lab.restart("lb")


@scene(
    "The app answers garbage: 502, with its first bytes",
    "Bytes came, and they are no HTTP. The LB cannot relay what it cannot understand; it keeps the first bytes, so "
    "that you can see what the app said.",
)
async def garbage(stage: Stage) -> None:
    await stage.fault("app", "garbage")
    sent = await stage.request()
    stage.decided(sent, 502, "lb", "http_protocol_error")
    stage.relayed(sent, "cdn")
    kept = [attempt.get("first_bytes") for attempt in sent.attempts("lb")]
    stage.check("the first bytes were kept", bool(kept and kept[-1]), kept[-1] if kept else "no attempt")
    await stage.lab.clear_faults()


@scene(
    "The response is cut in the middle: the client sees it",
    "The 200 was on its way to the client before the app stopped short, and no hop can take it back. An honest "
    "gateway passes on what it got and closes; the missing bytes are the only sign. The status says 200.",
)
async def cut(stage: Stage) -> None:
    await stage.fault("app", "truncate")
    sent = await stage.request()
    stage.check("status 200", sent.answer.status == 200, sent.answer.status)
    stage.check("the client sees the truncation", bool(sent.answer.truncated), sent.answer.truncated)
    stage.saw(sent, "lb", "lb noted it", truncated=True, error="http_response_incomplete")
    stage.saw(sent, "cdn", "cdn noted it", truncated=True, error="http_response_incomplete")
    await stage.lab.clear_faults()


@scene(
    "The breaker opens: 503 with Retry-After, and the app is left alone",
    "Too many failures in a row: the LB stops asking. It answers at once, says when to come back, and does not even "
    "connect, which gives the app room to recover.",
)
async def breaker_opens(stage: Stage) -> None:
    await stage.lab.breaker("lb", "reset")
    await stage.fault("app", "reset_before_response")
    failures = [(await stage.request()).answer.status for _ in range(OPENS_AFTER)]
    stage.did(f"{OPENS_AFTER} requests failed: {', '.join(map(str, failures))}")
    stage.check(f"{OPENS_AFTER} failures first", failures == [502] * OPENS_AFTER, failures)
    before = await stage.accepted()
    sent = await stage.request()
    after = await stage.accepted()
    stage.decided(sent, 503, "lb", "destination_unavailable")
    stage.relayed(sent, "cdn")
    stage.check("no connection was made to the app", before == after, f"{before} before, {after} after")
    retry_after = sent.answer.header("Retry-After")
    held = retry_after is not None and retry_after.isdecimal() and 1 <= int(retry_after) <= OPEN_FOR
    stage.check("Retry-After", held, retry_after)
    stage.saw(sent, "lb", "breaker open", breaker="open")
    await stage.lab.clear_faults()


@scene(
    "The clock is advanced: half-open, two probes, closed: 200",
    "When its time is up the breaker lets a few probes through. They come back well, so it closes. The ten seconds "
    "were not waited for: policies run on the lab's clock, which can be advanced. Sockets keep real time.",
)
async def breaker_closes(stage: Stage) -> None:
    await stage.lab.advance(OPEN_FOR + 1)
    stage.did(f"clock advanced by {OPEN_FOR + 1:g} s")
    first = await stage.request()
    stage.check("first probe 200", first.answer.status == 200, first.answer.status)
    half_open = (await stage.lab.state("lb"))["breaker"]["state"]
    stage.check("breaker half-open after one probe", half_open == "half_open", half_open)
    sent = await stage.request()
    stage.decided(sent, 200, "app", None)
    closed = (await stage.lab.state("lb"))["breaker"]["state"]
    stage.check("breaker closed after two", closed == "closed", closed)
