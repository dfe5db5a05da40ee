"""Forked processes are cut off from the fork server and from each other, and none outlives it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.processes.forkserver import Component, Exit, ForkServer
from tests.support.processes import left_of, until, wait_until

STANDIN = Component("tests.support.standins", "Config", "run")


def launch(*modules: str) -> ForkServer:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return ForkServer.launch(modules or [STANDIN.module], environ={**os.environ, "PYTHONPATH": path})


class Watch:
    """Records what the fork server tells of one process, and holds the ends of its pipes."""

    def __init__(self, forkserver: ForkServer, **config: Any) -> None:
        self.seen: list[object] = []
        stdin, self.lifeline = os.pipe()
        self.stdout, stdout = os.pipe()
        self.key = forkserver.spawn(STANDIN, config, stdin=stdin, stdout=stdout, stderr=2, watcher=self)
        os.close(stdin)
        os.close(stdout)

    def forked(self, pid: int) -> None:
        self.seen.append(pid)

    def stopped(self) -> None:
        self.seen.append("stopped")

    def continued(self) -> None:
        self.seen.append("continued")

    def exited(self, exit_: Exit) -> None:
        self.seen.append(exit_)

    def release(self) -> None:
        os.close(self.lifeline)
        os.close(self.stdout)


async def ready_line(watch: Watch) -> dict[str, Any]:
    import json

    os.set_blocking(watch.stdout, False)
    text = b""

    def complete() -> bool:
        nonlocal text
        try:
            text += os.read(watch.stdout, 4096)
        except BlockingIOError:
            return False
        return text.endswith(b"\n")

    await until(complete, what="the ready line")
    event: dict[str, Any] = json.loads(text)
    return event


async def test_a_child_has_its_own_group_only_its_own_descriptors_and_its_own_seed() -> None:
    forkserver = launch()
    watches = [Watch(forkserver) for _ in range(2)]
    one, other = [await ready_line(watch) for watch in watches]
    assert one["group"] == one["pid"] != other["group"]
    assert os.getpgid(forkserver.pid) == forkserver.pid
    assert one["descriptors"] == other["descriptors"] == [0, 1, 2]
    assert one["random"] != other["random"]
    await forkserver.close()
    for watch in watches:
        watch.release()


async def test_each_process_has_a_name_of_its_own_in_the_kernels_tables() -> None:
    forkserver = launch()
    watches = [Watch(forkserver, name="app-1"), Watch(forkserver, name="a-name-that-is-long")]
    pids = [(await ready_line(watch))["pid"] for watch in watches]
    told = [(Path("/proc") / str(pid) / "comm").read_text() for pid in (forkserver.pid, *pids)]
    assert told == ["bg-forkserver\n", "bg-app-1\n", "bg-a-name-that-\n"]
    await forkserver.close()
    for watch in watches:
        watch.release()


async def test_a_child_ends_when_its_stdin_does() -> None:
    forkserver = launch()
    watch = Watch(forkserver)
    await ready_line(watch)
    watch.release()
    await until(lambda: watch.seen[-1:] == [Exit(status=0)])
    await forkserver.close()


@pytest.mark.parametrize("frozen", [False, True])
async def test_closing_kills_children_whatever_they_do(frozen: bool) -> None:
    forkserver = launch()
    watch = Watch(forkserver, deaf=True, grandchild=600)
    await ready_line(watch)
    if frozen:
        forkserver.send_signal(watch.key, signal.SIGSTOP)
        await until(lambda: watch.seen[-1:] == ["stopped"])
    await forkserver.close()
    assert left_of(forkserver.run_id) == []
    await forkserver.close()
    watch.release()


async def test_a_frozen_fork_server_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badgateway.processes.forkserver.CLOSE_DEADLINE", 0.2)
    forkserver = launch()
    watch = Watch(forkserver, deaf=True, grandchild=600)
    await ready_line(watch)
    os.kill(forkserver.pid, signal.SIGSTOP)
    await forkserver.close()
    await until(lambda: not left_of(forkserver.run_id))
    watch.release()


async def test_a_module_that_does_not_import_is_reported_with_its_error() -> None:
    forkserver = launch("badgateway_no_such_module")
    watch = Watch(forkserver)
    await until(lambda: any(isinstance(seen, Exit) for seen in watch.seen))
    assert forkserver.failure is not None
    assert "No module named 'badgateway_no_such_module'" in forkserver.failure
    with pytest.raises(EnvironmentProblem, match="No module named"):
        Watch(forkserver)
    await forkserver.close()
    watch.release()


def test_one_that_was_never_used_can_be_closed_without_a_loop() -> None:
    forkserver = launch()
    forkserver.close_now()
    assert left_of(forkserver.run_id) == []


async def test_a_fork_takes_milliseconds() -> None:
    """The best of several: all the others tell of the machine."""
    forkserver = launch()
    watches, took = [], []
    for _ in range(6):
        start = time.monotonic()
        watches.append(Watch(forkserver))
        await ready_line(watches[-1])
        took.append(time.monotonic() - start)
    assert min(took[1:]) < 0.5
    await forkserver.close()
    for watch in watches:
        watch.release()
    wait_until(lambda: not left_of(forkserver.run_id))
