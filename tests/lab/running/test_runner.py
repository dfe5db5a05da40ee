from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.spec import ChainSpec
from badgateway.running.results import ScenarioResult, exit_code
from badgateway.running.runner import RunEvent, run_many, run_scenario
from badgateway.scenario.model import Scenario, parse_scenario
from tests.support.processes import until
from tests.support.scripted import OK, FakeLab, Scripted, exchange, scripted

BAD = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nProxy-Status: lb; error=connection_refused\r\n\r\n"


class Stage:
    """A fake lab whose chain answers 200, or 502 while a fault is set; and the server behind it."""

    def __init__(self) -> None:
        self.lab = FakeLab()
        self.server = Scripted("")
        self.started: list[ChainSpec] = []
        self.stamps = False

    async def answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        broken = bool(self.lab.set_faults)
        stamp = {"started": time.time()} if self.stamps else {}
        self.lab.records.append(exchange("cdn", head, status=502 if broken else 200, **stamp))
        self.lab.records.append(exchange("lb", head, status=502 if broken else 200, generated=broken))
        writer.write(BAD if broken else OK)

    async def factory(self, chain: ChainSpec) -> FakeLab:
        self.started.append(chain)
        return self.lab


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    async with scripted(stage.answer) as server:
        stage.server = server
        stage.lab.urls = {"cdn": server.url, "lb": server.url}
        stage.lab.states = {
            "lb": {"breaker": {"state": "open"}},
            "app-1": {"pid": 1, "requests": 3, "accepted": 2},
        }
        yield stage


def scenario(text: str) -> Scenario:
    return parse_scenario(f"title: t\ncode: 502\n{text}", file="t.yaml")


CRASH = """\
steps:
  - request: GET /products
    expect: {status: 200, decided_by: app, attempts: {lb: 1}}
  - fault: {target: app, kind: crash}
  - request: GET /products
    expect: {status: 502, decided_by: lb, error: connection_refused, hops: {lb: {generated: true}}}
"""


async def test_steps_run_one_after_the_other_and_hold(stage: Stage) -> None:
    events: list[RunEvent] = []
    result = await run_scenario(
        scenario("chain: {app: {instances: 1}}\n" + CRASH), stage.factory, on_event=events.append
    )
    assert result.failures() == []
    assert (result.outcome, result.exit_code) == ("held", 0)
    assert [step.title for step in result.steps] == ["GET /products", "fault crash at app", "GET /products"]
    assert [step.line for step in result.steps] == [5, 7, 8]
    assert stage.lab.calls == [("set_fault", "app", {"kind": "crash"})]
    assert stage.lab.closed
    assert stage.started[0].app.instances == 1
    assert [event.kind for event in events] == ["started", "ready", "step", "step", "step", "done"]
    shown = result.steps[2].seen
    assert shown is not None
    assert shown.trace is not None
    assert shown.trace.request_id == shown.answer.request_id


async def test_a_step_that_fails_says_what_was_measured_and_stops_the_rest(stage: Stage) -> None:
    wrong = CRASH.replace("status: 200", "status: 503").replace("attempts: {lb: 1}", "within: 0s")
    result = await run_scenario(scenario(wrong), stage.factory)
    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert result.failures()[0] == "t.yaml:4: GET /products: status: expected 503, measured 200"
    assert "within: expected 0s, measured" in result.failures()[1]
    assert [step.skipped for step in result.steps] == [False, True, True]
    assert stage.lab.calls == []
    assert stage.lab.closed


async def test_a_fault_that_never_fired_fails_the_scenario(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badgateway.running.runner.SETTLE", 0.05)
    stage.lab.fires = False
    result = await run_scenario(scenario(CRASH), stage.factory)
    assert result.outcome == "failed"
    assert result.failures() == ["t.yaml:6: the fault crash at app never fired"]
    stage.lab = FakeLab(urls=stage.lab.urls, fires=False)
    told = await run_scenario(scenario(CRASH.replace("kind: crash", "kind: crash, may_not_fire: true")), stage.factory)
    assert told.outcome == "held"
    assert [(fault.fired, fault.may_not_fire) for fault in told.faults] == [(0, True)]


async def test_every_action_reaches_the_lab(stage: Stage) -> None:
    stage.lab.set_faults = []
    result = await run_scenario(
        scenario(
            """\
steps:
  - advance: 30s
  - restart: app-1
  - stop: app
  - deploy: {app-1: {debug: true}}
  - patch: {lb: {timeouts: {first_byte: 1s}}}
  - breaker: {cdn: reset, lb: force_open}
  - purge: {cdn: /products}
  - purge: {lb: {tag: shop}, cdn: all}
  - {fault: hang, target: app-1, for: 5s}
  - {fault: latency, latency: 1s, target: app}
  - clear: hang
  - clear: app
  - clear: all
  - pause: 1ms
"""
        ),
        stage.factory,
    )
    assert result.outcome == "held"
    assert stage.lab.calls == [
        ("advance", 30.0),
        ("restart", "app-1"),
        ("stop", "app"),
        ("deploy", "app-1", {"debug": True}, False),
        ("patch", "lb", {"timeouts": {"first_byte": "1s"}}),
        ("breaker", "cdn", "reset"),
        ("breaker", "lb", "force_open"),
        ("purge", "cdn", {"url": "/products"}),
        ("purge", "lb", {"tag": "shop"}),
        ("purge", "cdn", {"all": True}),
        ("set_fault", "app-1", {"kind": "hang", "for": "5s"}),
        ("set_fault", "app", {"kind": "latency", "latency": "1s"}),
        ("clear_fault", "f-1"),
        ("clear_fault", "f-2"),
        ("clear_faults",),
    ]


async def test_what_surrounds_a_request_is_checked_too(stage: Stage) -> None:
    text = """\
steps:
  - request: {path: /a, times: 4, concurrency: 2}
    expect:
      app_requests: 0
      app_connections: ..0
      breaker: {lb: open}
      faults: {fired: 0}
      that: [count(status=200) == 4, max < 10s]
"""
    result = await run_scenario(scenario(text), stage.factory)
    assert result.failures() == []
    assert [check.name for check in result.steps[0].checks] == [
        "app_requests",
        "app_connections",
        "breaker.lb",
        "faults.fired",
        "that",
        "that",
    ]
    assert result.steps[0].requests == len(stage.server.heads) == 4
    assert len({head.lower().split(b"x-request-id: ")[1] for head in stage.server.heads}) == 4


async def test_what_surrounds_a_request_can_fail(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badgateway.running.requesting.SETTLE", 0.05)
    expect = "{app_requests: 1, breaker: {lb: closed}, faults: {fired: 1..}, that: p50 > 1h}"
    text = f"steps: [{{request: GET /, expect: {expect}}}]"
    result = await run_scenario(scenario(text), stage.factory)
    told = [failure.removeprefix("t.yaml:3: GET /: ") for failure in result.failures()]
    assert told[:3] == [
        "app_requests: expected 1, measured 0",
        "breaker.lb: expected closed, measured open",
        "faults.fired: expected 1.., measured 0",
    ]
    assert told[3].startswith("that: expected p50 > 1h, measured p50 = ")


ENDPOINTS = "{endpoints: {lb: {app-1: ejected}, cdn: {lb: healthy}}}"


async def test_what_hops_think_of_their_endpoints_is_checked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badgateway.running.requesting.SETTLE", 0.05)
    stage.lab.urls = {**stage.lab.urls, "app-1": "http://127.0.0.1:9001"}
    stage.lab.states["lb"]["endpoints"] = [{"address": "127.0.0.1:9001", "state": "ejected"}]
    stage.lab.states["cdn"] = {"endpoints": []}
    result = await run_scenario(scenario(f"steps: [{{request: GET /, expect: {ENDPOINTS}}}]"), stage.factory)
    assert result.failures() == ["t.yaml:3: GET /: endpoints.cdn.lb: expected healthy, measured no endpoint"]
    assert [check.name for check in result.steps[0].checks if check.held] == ["endpoints.lb.app-1"]


async def test_a_naive_client_tries_again_at_once_and_its_last_answer_counts(stage: Stage) -> None:
    text = """\
steps:
  - request: {path: /, times: 2, tries: 3}
    expect: {status: 200}
  - fault: {target: app, kind: crash}
  - request: {path: /, times: 2, tries: 3}
    expect: {status: 502}
"""
    result = await run_scenario(scenario(text), stage.factory)
    assert result.failures() == []
    assert len(stage.server.heads) == 2 + 2 * 3
    assert [step.requests for step in result.steps if step.requests] == [2, 2]


async def test_a_session_keeps_its_cookies_from_step_to_step(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    cookies = b"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n"
    monkeypatch.setattr("tests.lab.running.test_runner.OK", OK.replace(b"Content-Length", cookies + b"Content-Length"))
    text = "steps: [{request: {path: /, session: s, times: 2}}, {request: {path: /, session: s}}, {request: GET /}]"
    result = await run_scenario(scenario(text), stage.factory)
    assert result.failures() == []
    sent = [b"cookie: a=1; b=2\r\n" in head.lower() for head in stage.server.heads]
    assert sent == [False, True, True, False]


TRAFFIC = """\
traffic: [{for: 2400ms, rate: 12.5/s, path: /t}]
timeline: [{at: 1200ms, fault: crash, target: app}]
expect:
  - {during: ..800ms, that: share(status=200) == 100%}
  - {after: 2s, that: "share(status=502, decided_by=lb, error=connection_refused) > 90%"}
"""


async def test_traffic_runs_beside_its_timeline_and_is_judged_by_windows(stage: Stage) -> None:
    result = await run_scenario(scenario(TRAFFIC), stage.factory)
    assert result.failures() == []
    assert len(result.observations) == 30
    assert [(window.window, window.requests) for window in result.windows] == [("0s..800ms", 11), ("2s..", 5)]
    assert result.faults[0].line == 4


async def test_a_window_that_does_not_hold_says_what_was_measured(stage: Stage) -> None:
    result = await run_scenario(scenario(TRAFFIC.replace("== 100%", "< 50%")), stage.factory)
    assert result.outcome == "failed"
    [failure] = result.failures()
    assert failure == (
        "t.yaml:6: 0s..800ms: share(status=200) < 50%: expected to hold, measured share(status=200) = 100%"
    )


ALERTING = """\
traffic: [{for: 1600ms, rate: 25/s, path: /t}]
timeline: [{at: 800ms, fault: crash, target: app}]
expect:
  - {during: ..300ms, alerts: {silent: ErrorBudgetBurnFast}}
  - {after: 900ms, alerts: {fired: [ErrorBudgetBurnFast, ErrorBudgetBurnSlow], silent: TooManyRequestsBurst}}
"""


async def test_alerts_are_judged_by_the_records_of_the_hops(stage: Stage) -> None:
    stage.stamps = True
    result = await run_scenario(scenario(ALERTING), stage.factory)
    assert result.failures() == []
    assert [window.check.name for window in result.windows] == [
        "alert ErrorBudgetBurnFast",
        "alert ErrorBudgetBurnFast",
        "alert ErrorBudgetBurnSlow",
        "alert TooManyRequestsBurst",
    ]
    assert result.windows[1].check.measured.startswith(("fired at cdn from 0.", "fired at cdn from 1."))
    failing = await run_scenario(
        scenario(ALERTING.replace("fired: [", "fired: [TooManyRequestsBurst, ")), stage.factory
    )
    said = "alert TooManyRequestsBurst: expected to fire, measured silent"
    assert any(said in failure for failure in failing.failures())


async def test_without_traffic_expectations_are_about_the_steps(stage: Stage) -> None:
    text = "steps: [{request: {times: 3}}]\nexpect: [{that: count == 3}]"
    assert (await run_scenario(scenario(text), stage.factory)).outcome == "held"


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [(EnvironmentProblem("lb died"), "environment", 3), (InvalidRequest("no such fault"), "invalid", 2)],
)
@pytest.mark.parametrize("text", [CRASH, TRAFFIC])
async def test_trouble_of_the_lab_is_no_failed_expectation(
    stage: Stage, error: Exception, outcome: str, code: int, text: str
) -> None:
    stage.lab.refuse = error
    result = await run_scenario(scenario(text), stage.factory)
    assert (result.outcome, result.why, result.exit_code) == (outcome, str(error), code)
    assert stage.lab.closed


async def test_a_lab_that_cannot_start_is_the_environments_fault() -> None:
    async def factory(chain: ChainSpec) -> FakeLab:
        raise EnvironmentProblem("port 80 is taken")

    result = await run_scenario(scenario(CRASH), factory)
    assert (result.outcome, result.why) == ("environment", "port 80 is taken")
    assert result.failures() == ["t.yaml: port 80 is taken"]


async def test_a_scenario_that_takes_too_long_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badgateway.scenario.model.DEADLINE", 0.05)
    result = await run_scenario(scenario("steps: [{pause: 5s}]"), stage.factory)
    assert (result.outcome, result.why) == ("failed", "took longer than 0.05 s")
    assert stage.lab.closed


class Labs:
    """Starts labs that count how many are open at once; those for an instance count of 3 do not hold."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0
        self.all: list[Any] = []

    async def factory(self, chain: ChainSpec) -> FakeLab:
        counter = self

        class Counting(FakeLab):
            async def close(self) -> None:
                await super().close()
                counter.open -= 1

        self.open += 1
        self.most = max(self.most, self.open)
        lab = Counting(refuse=InvalidRequest("no") if chain.app.instances == 3 else None)
        self.all.append(lab)
        return lab


def many(*instances: int) -> list[Scenario]:
    return [
        scenario(f"chain: {{app: {{instances: {n}}}}}\nsteps: [{{pause: 20ms}}, {{advance: 1s}}]") for n in instances
    ]


async def test_several_run_at_once_but_no_more_than_jobs() -> None:
    labs = Labs()
    results = await run_many(many(1, 2, 3, 4, 5), labs.factory, jobs=2)
    assert [result.outcome for result in results] == ["held", "held", "invalid", "held", "held"]
    assert [result.scenario.chain.app.instances for result in results] == [1, 2, 3, 4, 5]
    assert labs.most == 2
    assert labs.open == 0
    assert exit_code(results) == 2


async def test_fail_fast_begins_no_more_after_a_failure() -> None:
    labs = Labs()
    results = await run_many(many(1, 3, 4, 5), labs.factory, jobs=1, fail_fast=True)
    assert [result.outcome for result in results] == ["held", "invalid", "skipped", "skipped"]
    assert len(labs.all) == 2


async def test_cancelling_closes_every_lab() -> None:
    labs = Labs()
    long = [scenario("steps: [{pause: 5s}]") for _ in range(4)]
    running = asyncio.create_task(run_many(long, labs.factory, jobs=3))
    await until(lambda: labs.open == 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert labs.open == 0
    assert all(lab.closed for lab in labs.all)


def test_the_gravest_result_gives_the_exit_code() -> None:
    one = scenario("steps: [{pause: 1ms}]")
    assert exit_code([]) == 0
    assert exit_code([ScenarioResult(one), ScenarioResult(one, "failed")]) == 1
    assert exit_code([ScenarioResult(one, "failed"), ScenarioResult(one, "environment")]) == 3
    assert exit_code([ScenarioResult(one, "skipped")]) == 0
