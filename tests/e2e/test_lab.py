"""The whole chain, with real processes: every fault really happens, and the lab knows, shows and undoes it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.lab import Lab
from badgateway.chain.nodes import NodeAddress
from badgateway.chain.spec import ChainSpec
from badgateway.chain.traces import Trace
from badgateway.processes.forkserver import ForkServer
from badgateway.processes.ports import Ports
from badgateway.processes.supervisor import State
from tests.support.processes import left_of, state_of, until

CHAIN = ChainSpec.model_validate(
    {
        "cdn": {"timeouts": {"connect": "300ms", "first_byte": "1s"}},
        "lb": {"timeouts": {"connect": "300ms", "first_byte": "500ms"}, "breaker": {"enabled": False}},
    }
)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]

    @property
    def request_id(self) -> str:
        return self.headers["X-Request-ID"]


async def ask(lab: Lab, path: str = "/products") -> Answer:
    async with aiohttp.ClientSession() as session, session.get(lab.url + path) as response:
        await response.read()
        return Answer(response.status, dict(response.headers))


async def traced(lab: Lab, path: str = "/products") -> tuple[int, Trace]:
    answer = await ask(lab, path)
    (trace,) = await lab.exchanges(request_id=answer.request_id)
    return answer.status, trace


async def node(lab: Lab, name: str) -> dict[str, Any]:
    return next(node for node in (await lab.describe())["nodes"] if node["name"] == name)


@pytest.fixture
async def forkserver() -> AsyncIterator[ForkServer]:
    forkserver = ForkServer.launch()
    yield forkserver
    await forkserver.close()
    assert left_of(forkserver.run_id) == []


@pytest.fixture
async def lab(forkserver: ForkServer) -> AsyncIterator[Lab]:
    lab = await Lab.start(CHAIN, forkserver=forkserver)
    yield lab
    await lab.close()


async def test_a_request_goes_through_all_tiers_and_every_one_records_it(lab: Lab) -> None:
    status, trace = await traced(lab)
    assert status == 200
    assert [record["hop"] for record in trace.hops] == ["cdn", "lb"]
    assert [record["instance"] for record in trace.app] in (["app-1"], ["app-2"])
    assert (trace.decided_by, trace.error, trace.firings) == ("app", None, [])


async def test_a_warm_chain_starts_fast(forkserver: ForkServer) -> None:
    """The best of several: all the others tell of the machine."""
    await (await Lab.start(CHAIN, forkserver=forkserver)).close()
    took = []
    for _ in range(5):
        start = time.monotonic()
        lab = await Lab.start(CHAIN, forkserver=forkserver)
        took.append(time.monotonic() - start)
        await lab.close()
    assert min(took) < 0.6


async def test_crashed_apps_refuse_and_are_back_after_restart(lab: Lab) -> None:
    urls = dict(lab.urls)
    pids = [(await node(lab, name))["pid"] for name in lab.instances]
    fault = await lab.set_fault("app", {"kind": "crash"})
    assert [state_of(pid) for pid in pids] == [None, None]
    assert fault.fired == 2
    assert fault.proof == "; ".join(f"app-{n} (pid {pid}) was killed by SIGKILL" for n, pid in enumerate(pids, start=1))
    status, trace = await traced(lab)
    assert (status, trace.decided_by, trace.error) == (502, "lb", "connection_refused")
    assert [f.id for f in await lab.faults()] == [fault.id]
    assert await lab.restart("app") == []
    assert (await ask(lab)).status == 200
    assert await lab.faults() == []
    assert lab.urls == urls
    assert (await node(lab, "app-1"))["restarts"] == 1


async def test_a_process_fault_says_what_shows_that_it_happened(lab: Lab) -> None:
    fault = await lab.set_fault("app-1", {"kind": "exhaust_descriptors", "limit": 64})
    assert re.match(
        r"app-1: RLIMIT_NOFILE is 64, \d+ files were opened .* \[Errno 24\] Too many open files", fault.proof
    )
    assert (await lab.state("app-1"))["descriptors"] == {"open": 65, "limit": 64}, (
        "one of them is that of this question"
    )
    await lab.clear_fault(fault.id)
    assert (await lab.state("app-1"))["descriptors"]["limit"] > 64


async def test_a_process_fault_that_cannot_happen_is_told_with_the_reason() -> None:
    relaying = ChainSpec.model_validate({"app": {"backend": "http://127.0.0.1:9", "instances": 1}})
    async with await Lab.start(relaying) as lab:
        with pytest.raises(EnvironmentProblem, match="app-1: did not happen: an instance that relays"):
            await lab.set_fault("app", {"kind": "database_locked"})
        assert await lab.faults() == []


async def test_a_deployment_restarts_with_other_settings_until_an_instance_does_not_start(lab: Lab) -> None:
    pids = [(await node(lab, name))["pid"] for name in lab.instances]
    await lab.deploy("app", {"debug": True})
    assert (await ask(lab)).status == 200
    second = [(await node(lab, name))["pid"] for name in lab.instances]
    assert not set(pids) & set(second)
    broken = {"environment": {}, "check_environment": True}
    with pytest.raises(EnvironmentProblem, match="SHOP_SIGNING_KEY is not set"):
        await lab.deploy("app", broken)
    await lab.restart("app-1")
    await lab.deploy("app", broken, may_not_start=True)
    assert [(await node(lab, name))["state"] for name in lab.instances] == ["exited", "running"]
    assert (await node(lab, "app-2"))["pid"] == second[1]
    await lab.reset()
    assert (await ask(lab)).status == 200


async def test_a_restart_says_which_faults_and_patches_ended_with_it(lab: Lab) -> None:
    await lab.set_fault("app", {"kind": "hang"})
    await lab.patch("lb", {"timeouts": {"first_byte": "100ms", "connect": "1s"}, "retry": {"attempts": 2}})
    await lab.patch("lb", {"timeouts": {"first_byte": "200ms"}})
    assert await lab.restart("app-2") == ["f-1, hang at app-2, is over"]
    lost = "lb has what it was started with again: timeouts.first_byte, timeouts.connect, retry.attempts"
    assert await lab.restart("lb") == [lost]
    assert await lab.restart("lb") == []


async def test_a_crash_at_a_request_is_proven_by_that_request(lab: Lab) -> None:
    fault = await lab.set_fault("app", {"kind": "crash", "when": {"path": "/orders/*"}})
    assert fault.fired == 0
    assert (await ask(lab)).status == 200
    status, trace = await traced(lab, "/orders/1")
    assert (status, trace.decided_by) == (502, "lb")
    await until(lambda: "SIGKILL" in fault.proof)
    assert [firing["firing"] for firing in trace.firings] == [f"{fault.id}.1"]
    assert fault.fired == 1


async def test_a_hang_is_a_504_at_the_lb_and_the_trace_has_the_firing(lab: Lab) -> None:
    fault = await lab.set_fault("app", {"kind": "hang"})
    status, trace = await traced(lab)
    assert (status, trace.decided_by, trace.error) == (504, "lb", "http_response_timeout")
    assert trace.firings[0]["fault"] == fault.id
    await lab.clear_fault(fault.id)
    assert (await ask(lab)).status == 200
    assert [f.fired for f in await lab.faults(ended=True)] == [1]


async def test_a_fault_before_the_request_is_read_is_found_by_its_connection(lab: Lab) -> None:
    await lab.set_fault("app", {"kind": "reset_on_accept"})
    status, trace = await traced(lab)
    assert (status, trace.decided_by) == (502, "lb")
    assert trace.app == []
    assert trace.firings[0]["kind"] == "reset_on_accept"


@pytest.mark.parametrize("undo", ["clear", "expire", "restart", "reset"])
async def test_a_frozen_lb_is_a_504_at_the_cdn_and_goes_on(lab: Lab, undo: str) -> None:
    fault = await lab.set_fault("lb", {"kind": "freeze", "for": "1m"})
    described = await node(lab, "lb")
    assert described["state"] == "frozen"
    assert state_of(described["pid"]) == "T"
    assert fault.proof == f"lb (pid {described['pid']}) was seen stopped by SIGSTOP"
    status, trace = await traced(lab)
    assert (status, trace.decided_by, trace.error) == (504, "cdn", "http_response_timeout")
    match undo:
        case "clear":
            await lab.clear_fault(fault.id)
        case "expire":
            await lab.advance(61)
            await until(lambda: not fault.active)
            await until(lambda: state_of(described["pid"]) != "T")
        case "restart":
            await lab.restart("lb")
        case "reset":
            await lab.reset()
    assert (await ask(lab)).status == 200
    assert not fault.active


@pytest.mark.parametrize("undo", ["clear", "expire", "restart"])
async def test_a_frozen_instance_is_seen_and_goes_on(lab: Lab, undo: str) -> None:
    fault = await lab.set_fault("app", {"kind": "freeze", "for": "1m"})
    assert [(await node(lab, name))["state"] for name in lab.instances] == ["frozen", "frozen"]
    status, trace = await traced(lab)
    assert (status, trace.decided_by) == (504, "lb")
    with pytest.raises(EnvironmentProblem, match="app-1 is frozen; clear that fault"):
        await lab.set_fault("app-1", {"kind": "hang"})
    match undo:
        case "clear":
            await lab.clear_faults()
        case "expire":
            await lab.advance(61)
            await until(lambda: not fault.active)
        case "restart":
            await lab.restart("app")
    async with asyncio.timeout(5):
        while [(await node(lab, name))["state"] for name in lab.instances] != ["running", "running"]:
            pass
    assert (await ask(lab)).status == 200


async def test_the_end_of_another_fault_does_not_thaw_what_is_frozen(lab: Lab) -> None:
    other = await lab.set_fault("app-1", {"kind": "hang"})
    freeze = await lab.set_fault("app-1", {"kind": "freeze"})
    await lab.clear_fault(other.id)
    assert (await node(lab, "app-1"))["state"] == "frozen"
    await lab.clear_fault(freeze.id)
    assert (await node(lab, "app-1"))["state"] == "running"


@pytest.mark.parametrize(("kind", "proof"), [("crash", "was killed by SIGKILL"), ("exit", "exited with status 0")])
async def test_a_dead_lb_is_a_502_at_the_cdn(lab: Lab, kind: str, proof: str) -> None:
    fault = await lab.set_fault("lb", {"kind": kind})
    assert proof in fault.proof
    status, trace = await traced(lab)
    assert (status, trace.decided_by, trace.error) == (502, "cdn", "connection_refused")
    await lab.clear_fault(fault.id)
    assert (await ask(lab)).status == 502
    await lab.restart("lb")
    assert (await ask(lab)).status == 200


async def test_a_fault_cannot_be_set_on_what_is_dead(lab: Lab) -> None:
    await lab.set_fault("app-1", {"kind": "crash"})
    with pytest.raises(EnvironmentProblem, match="app-1 was killed by SIGKILL; restart it first"):
        await lab.set_fault("app-1", {"kind": "hang"})
    fault = await lab.set_fault("app", {"kind": "hang"})
    assert [bool(part.over) for part in fault.parts.values()] == [True, False]


async def test_a_slow_boot_is_down_for_that_long_and_over_with_the_fault(lab: Lab) -> None:
    fault = await lab.set_fault("app", {"kind": "boot_slowly", "boot_delay": "30s"})
    status, _ = await traced(lab)
    assert status == 502
    await until(lambda: fault.fired == 2)
    async with asyncio.timeout(5):
        while (await node(lab, "app-1"))["state"] != "starting":
            pass
    await lab.clear_fault(fault.id)
    assert (await ask(lab)).status == 200


async def test_a_crash_loop_dies_again_and_again_and_ends_with_the_fault(lab: Lab) -> None:
    fault = await lab.set_fault("app-1", {"kind": "crash_loop", "crash_after": "20ms", "for": "1m"})
    process = lab._nodes["app-1"].process
    assert process is not None
    await until(lambda: process.restarts >= 3)
    assert "was killed by SIGKILL" in fault.proof
    await lab.advance(61)
    await until(lambda: not fault.active)
    await until(lambda: process.state is State.RUNNING and not process.overrides)
    assert (await lab.state("app-1"))["name"] == "app-1"


async def test_a_stopped_process_stays_stopped(lab: Lab) -> None:
    await lab.set_fault("app-1", {"kind": "crash_loop", "crash_after": "30s"})
    await lab.stop("app-1")
    assert (await node(lab, "app-1"))["state"] == "exited"
    await lab.restart("app-1")
    assert (await lab.state("app-1"))["name"] == "app-1"


async def test_reset_brings_everything_back(lab: Lab) -> None:
    await lab.set_fault("app", {"kind": "hang"})
    await lab.set_fault("app-2", {"kind": "crash"})
    await lab.set_fault("lb", {"kind": "crash"})
    await lab.patch("cdn", {"timeouts": {"first_byte": "100ms"}})
    await lab.breaker("cdn", "force_open")
    await lab.advance(30)
    assert (await ask(lab)).status == 503
    await lab.reset()
    assert await lab.faults(ended=True) == []
    status, trace = await traced(lab)
    assert (status, trace.decided_by) == (200, "app")
    assert len(await lab.exchanges()) == 1


async def test_advancing_reaches_a_frozen_process_when_it_goes_on(lab: Lab) -> None:
    fault = await lab.set_fault("app-1", {"kind": "freeze"})
    await lab.advance(30)
    await lab.clear_fault(fault.id)

    async with asyncio.timeout(5):
        while (await lab.state("app-1"))["clock_offset"] != 30:
            pass


async def test_everything_that_happens_is_an_event(lab: Lab) -> None:
    seen: set[tuple[str, str]] = set()

    async def listen() -> None:
        async for event in lab.events():
            seen.add((event.kind, event.node))

    listening = asyncio.create_task(listen())
    await lab.set_fault("app", {"kind": "empty_response"})
    async with asyncio.timeout(20):
        while not {("exchange", "cdn"), ("exchange", "lb")} <= seen:  # the streams connect in the background
            await ask(lab)
    await lab.breaker("lb", "force_open")
    await until(lambda: ("breaker", "lb") in seen)
    await lab.set_fault("app-1", {"kind": "crash"})
    await lab.close()
    await listening
    assert {("fault", "app"), ("firing", "app-1"), ("process", "app-1"), ("fault", "app-1")} <= seen


@pytest.mark.parametrize(
    ("target", "spec", "message"),
    [
        ("app", {"kind": "crsh"}, "did you mean .crash"),
        ("app", {"kind": "latency", "latncy": "1s"}, "latncy"),
        ("app-3", {"kind": "hang"}, 'nothing in the chain is called "app-3"; did you mean "app'),
        ("ldb", {"kind": "crash"}, 'did you mean "lb"'),
        ("lb", {"kind": "hang"}, "aim it at app; lb can crash, exit, freeze"),
        ("lb", {"kind": "freze", "when": {}, "for": 3}, 'did you mean "freeze".*\n.*when: unknown key.*\n.*for: '),
        ("cdn", {}, "kind: is required"),
    ],
)
async def test_a_wrong_fault_is_refused_with_what_was_meant(
    lab: Lab, target: str, spec: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        await lab.set_fault(target, spec)
    assert await lab.faults() == []


async def test_a_patch_may_name_instances_where_a_hop_wants_addresses(lab: Lab) -> None:
    address = lab.urls["app-1"].removeprefix("http://")
    config = await lab.patch("lb", {"balancing": {"drain": ["app-1"]}})
    assert config["balancing"]["drain"] == [address]
    endpoints = (await lab.state("lb"))["endpoints"]
    assert {each["address"]: each["state"] for each in endpoints}[address] == "draining"
    with pytest.raises(InvalidRequest, match='called "ap-1"; did you mean'):
        await lab.patch("lb", {"balancing": {"drain": ["ap-1"]}})
    with pytest.raises(InvalidRequest, match=r"balancing\.weights: .* is not among upstreams; did you mean"):
        await lab.patch("lb", {"balancing": {"weights": {"cdn": 2}}})


async def test_wrong_names_are_refused(lab: Lab) -> None:
    with pytest.raises(InvalidRequest, match='called "cnd"; did you mean "cdn"'):
        await lab.patch("cnd", {})
    with pytest.raises(InvalidRequest, match='"app-1" is an instance; hops are cdn and lb'):
        await lab.breaker("app-1", "reset")
    with pytest.raises(InvalidRequest, match="no fault has the id"):
        await lab.clear_fault("f-99")
    with pytest.raises(InvalidRequest, match="lb: "):
        await lab.patch("lb", {"timeouts": {"first_byt": "1s"}})


async def test_a_port_in_use_says_whose_it_is(forkserver: ForkServer) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        message = rf"127\.0\.0\.1:{port} is in use by pid {os.getpid()} \(.+\); stop it or .* --lb-port"
        with pytest.raises(EnvironmentProblem, match=message):
            await Lab.start(CHAIN, ports=Ports(cdn=0, lb=port, app=0), forkserver=forkserver)


async def test_a_chain_that_drains_what_is_no_instance_is_not_started(forkserver: ForkServer) -> None:
    chain = ChainSpec.model_validate({"lb": {"balancing": {"drain": ["app-1", "10.0.0.1:80"]}}})
    with pytest.raises(InvalidRequest, match=r"^lb\.balancing\.drain\[1\]: 10\.0\.0\.1:80 is not among upstreams; "):
        await Lab.start(chain, forkserver=forkserver)


async def test_a_killed_fork_server_fails_the_lab_at_once() -> None:
    lab = await Lab.start(CHAIN)
    assert lab._own_forkserver is not None
    run_id = lab._own_forkserver.run_id
    os.kill(lab._own_forkserver.pid, signal.SIGKILL)
    await until(lambda: lab.failure)
    with pytest.raises(EnvironmentProblem, match=r"fork server .* was killed by SIGKILL"):
        await lab.set_fault("app", {"kind": "hang"})
    with pytest.raises(EnvironmentProblem, match="fork server"):
        await lab.restart("lb")
    await until(lambda: not left_of(run_id))
    await lab.close()


async def test_an_attached_lab_does_all_that_needs_no_process(lab: Lab) -> None:
    assert lab._assembly is not None
    addresses = [NodeAddress(n["name"], n["tier"], "", n["admin"]) for n in (await lab.describe())["nodes"]]
    async with await Lab.attach(addresses, lab._assembly.token) as attached:
        assert attached.urls == lab.urls
        fault = await attached.set_fault("app", {"kind": "hang"})
        status, trace = await traced(attached)
        assert (status, trace.decided_by, trace.firings[0]["fault"]) == (504, "lb", fault.id)
        await attached.faults()
        assert fault.fired == 1
        await attached.clear_faults()
        assert (await ask(attached)).status == 200
        crash = await attached.set_fault("app-1", {"kind": "crash"})
        await until(lambda: lab._nodes["app-1"].process and not lab._nodes["app-1"].process.alive)
        assert (await node(attached, "app-1"))["state"] == "exited"
        await attached.clear_fault(crash.id)
        [told] = [fault.to_json() for fault in await attached.faults(ended=True) if fault.kind == "crash"]
        assert (told["fired"], told["proof"]) == (1, "app-1 refuses connections to its admin port")
        for refused in (attached.restart("app-1"), attached.set_fault("lb", {"kind": "freeze"})):
            with pytest.raises(InvalidRequest, match="run by somebody else"):
                await refused
        await attached.advance(5)


async def test_a_closed_lab_says_so(lab: Lab) -> None:
    await lab.close()
    await lab.close()
    with pytest.raises(EnvironmentProblem, match="closed"):
        await lab.describe()


async def test_upstreams_may_be_named_after_nodes(lab: Lab) -> None:
    """The LB is told to send to the CDN, which recognises its own request."""
    await lab.patch("lb", {"upstreams": ["cdn"]})
    answer = await ask(lab)
    assert answer.status == 502
    assert 'proxy_loop_detected; details="CDN-Loop already names' in answer.headers["Proxy-Status"]
    await lab.patch("lb", {"upstreams": ["app-1"]})
    assert (await ask(lab)).status == 200
