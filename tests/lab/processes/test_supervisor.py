"""Processes really start, freeze, die and come back, and the supervisor sees each of it as it happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.processes.forkserver import Component, Exit, ForkServer
from badgateway.processes.rundir import RunDir
from badgateway.processes.supervisor import Process, ProcessChange, State
from tests.support.processes import left_of, state_of, until

STANDIN = Component("tests.support.standins", "Config", "run")


class Bench:
    """A fork server, a run directory, and processes on them that record what they tell."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self.forkserver = ForkServer.launch([STANDIN.module], environ={**os.environ, "PYTHONPATH": path})
        self.rundir = RunDir()
        self.changes: list[ProcessChange] = []
        self.lines: list[dict[str, Any]] = []

    def process(self, name: str = "app-1", **config: Any) -> Process:
        return Process(
            name,
            STANDIN,
            config,
            forkserver=self.forkserver,
            rundir=self.rundir,
            on_change=self.changes.append,
            on_line=lambda _, line: self.lines.append(line),
        )

    async def close(self) -> None:
        await self.forkserver.close()
        self.rundir.remove()
        assert left_of(self.forkserver.run_id) == []


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


async def test_a_process_starts_and_stops(bench: Bench) -> None:
    process = bench.process()
    await process.start()
    assert process.state is State.RUNNING
    assert state_of(process.pid) in ("S", "R")
    await process.stop()
    assert process.exit == Exit(signal=signal.SIGTERM)
    assert state_of(process.pid) is None
    assert [change.state for change in bench.changes] == [State.STARTING, State.RUNNING, State.EXITED]


async def test_processes_start_in_parallel(bench: Bench) -> None:
    processes = [bench.process(f"app-{n}") for n in range(4)]
    await asyncio.gather(*(process.start() for process in processes))
    assert len({process.pid for process in processes}) == 4


async def test_what_a_process_printed_before_its_death_comes_before_its_death(bench: Bench) -> None:
    process = bench.process(last_words=500)
    await process.start()
    await process.until(State.EXITED, deadline=30)
    assert [line["n"] for line in bench.lines] == list(range(500))
    assert process.exit == Exit(signal=signal.SIGKILL)


async def test_one_that_ends_before_it_is_ready_fails_with_its_log(bench: Bench) -> None:
    with pytest.raises(EnvironmentProblem, match=r"app-1 exited with status 3 before .*\n.*port is in use"):
        await bench.process(stderr="that port is in use", exit=3).start()


async def test_one_that_raises_fails_with_the_error(bench: Bench) -> None:
    with pytest.raises(EnvironmentProblem, match=r"(?s)app-1 exited with status 1 .*RuntimeError: no luck"):
        await bench.process(**{"raise": "no luck"}).start()


async def test_one_that_is_never_ready_fails_at_the_deadline_and_is_killed(bench: Bench) -> None:
    process = bench.process(never_ready=True)
    with pytest.raises(EnvironmentProblem, match=r"app-1 was not ready within 0\.2 s"):
        await process.start(deadline=0.2)
    assert process.exit == Exit(signal=signal.SIGKILL)


async def test_one_that_is_ready_before_its_pid_is_known_is_ready(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = bench.process()
    forked = process.forked
    late: list[int] = []
    monkeypatch.setattr(process, "forked", late.append)
    start = asyncio.create_task(process.start())
    await until(lambda: late and process.ready)
    forked(*late)
    await start
    assert process.pid == late[0]
    assert [change.state for change in bench.changes] == [State.STARTING, State.RUNNING]


async def test_a_start_that_is_cancelled_leaves_no_process(bench: Bench) -> None:
    process = bench.process(never_ready=True)
    start = asyncio.create_task(process.start())
    await until(lambda: process.pid)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert await process.until(State.EXITED, deadline=30)


async def test_freeze_and_thaw_are_seen(bench: Bench) -> None:
    process = bench.process()
    await process.start()
    process.signal(signal.SIGSTOP)
    assert await process.until(State.FROZEN, deadline=30)
    assert state_of(process.pid) == "T"
    process.signal(signal.SIGCONT)
    assert await process.until(State.RUNNING, deadline=30)


async def test_one_that_freezes_itself_is_seen_frozen_and_can_be_stopped(bench: Bench) -> None:
    process = bench.process(freeze=True)
    await process.start()
    assert await process.until(State.FROZEN, deadline=30)
    await process.stop()
    assert process.exit == Exit(signal=signal.SIGTERM)


async def test_one_that_ignores_sigterm_is_killed_with_its_children(bench: Bench) -> None:
    process = bench.process(deaf=True, grandchild=600)
    await process.start()
    await process.stop(grace=0.1)
    assert process.exit == Exit(signal=signal.SIGKILL)
    await until(lambda: len(left_of(bench.forkserver.run_id)) == 1, what="only the fork server is left")


async def test_the_children_of_one_that_dies_die_with_it(bench: Bench) -> None:
    process = bench.process(grandchild=600)
    await process.start()
    os.kill(process.pid, signal.SIGKILL)
    await process.until(State.EXITED, deadline=30)
    await until(lambda: len(left_of(bench.forkserver.run_id)) == 1, what="only the fork server is left")


async def test_restart_gives_another_process_with_overrides_for_one_life(bench: Bench) -> None:
    process = bench.process()
    await process.start()
    first = process.pid
    with pytest.raises(EnvironmentProblem):
        await process.restart({"exit": 3})
    await process.restart()
    assert process.pid != first
    assert process.restarts == 2
    assert process.state is State.RUNNING


async def test_a_signal_to_a_dead_process_reaches_nobody(bench: Bench) -> None:
    one, other = bench.process("app-1"), bench.process("app-2")
    await one.start()
    await one.stop()
    await other.start()
    one.signal(signal.SIGKILL)
    other.signal(signal.SIGSTOP)
    assert await other.until(State.FROZEN, State.EXITED, deadline=30)
    assert other.state is State.FROZEN


async def test_a_killed_fork_server_takes_all_with_it_and_says_so(bench: Bench) -> None:
    running, starting = bench.process("app-1", grandchild=600), bench.process("app-2", never_ready=True)
    await running.start()
    lost: list[bool] = []
    bench.forkserver.on_lost(lambda: lost.append(True))
    start = asyncio.create_task(starting.start())
    await until(lambda: starting.pid)
    os.kill(bench.forkserver.pid, signal.SIGKILL)
    with pytest.raises(EnvironmentProblem, match=r"fork server .* was killed by SIGKILL"):
        await start
    assert lost == [True]
    assert running.state is State.EXITED
    with pytest.raises(EnvironmentProblem, match=r"fork server .* was killed by SIGKILL"):
        await running.start()
    await until(lambda: not left_of(bench.forkserver.run_id), what="nothing is left")
