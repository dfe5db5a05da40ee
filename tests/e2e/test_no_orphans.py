"""Whatever is killed, whenever: nothing of a lab is left running, and no directory.

A process of its own starts the lab and is killed with SIGKILL, or one of its children is. All of them carry
a mark in their environment, by which /proc tells what is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.chain.lab import Lab
from badgateway.chain.spec import ChainSpec
from badgateway.processes.orphans import marked
from tests.support.processes import left_of, until, wait_until

MARK = "BADGATEWAY_TEST_RUN"
PROCESSES = 6  # the lab's own, its fork server, cdn, lb, app-1, app-2

PARENT = textwrap.dedent(
    """
    import asyncio, json, sys
    from badgateway.chain.spec import ChainSpec
    from badgateway.chain.errors import EnvironmentProblem
    from badgateway.chain.lab import Lab

    async def main():
        lab = await Lab.start(ChainSpec())
        pids = {node["name"]: node["pid"] for node in (await lab.describe())["nodes"]}
        print(json.dumps({"forkserver": lab._own_forkserver.pid, **pids}), flush=True)
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                target, kind = line.split()
                await lab.set_fault(target, {"kind": kind})
                print("done", flush=True)
        finally:
            await lab.close()

    asyncio.run(main())
    """
)


def leftovers(mark: str, tmp: Path) -> list[str]:
    return left_of(mark, MARK) + [str(path) for path in tmp.iterdir()]


class Parent:
    """A process that runs a lab, in a temporary directory of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.tmp = tmp_path
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, MARK: self.mark, "TMPDIR": str(tmp_path)},
        )
        self.pids: dict[str, int] = {}

    def ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the lab did not start"
        self.pids = json.loads(line)

    def fault(self, target: str, kind: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{target} {kind}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def count(self) -> int:
        return len(marked(self.mark, MARK))

    def left(self) -> list[str]:
        return leftovers(self.mark, self.tmp)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    parent = Parent(tmp_path)
    yield parent
    parent.close()


def nothing_left(parent: Parent) -> None:
    """Nothing is left, and stays so: a process is not seen by its environment while it executes another program."""
    looks: deque[list[str]] = deque(maxlen=5)

    def settled() -> bool:
        looks.append(parent.left())
        return len(looks) == looks.maxlen and not any(looks)

    with suppress(AssertionError):
        wait_until(settled)
    assert list(looks) == [[]] * 5


def test_of_a_lab_killed_while_it_runs(parent: Parent) -> None:
    parent.ready()
    assert parent.count() == PROCESSES
    parent.kill()
    nothing_left(parent)


@pytest.mark.parametrize(("target", "kind"), [("lb", "freeze"), ("app", "freeze"), ("app", "crash"), ("cdn", "exit")])
def test_of_a_lab_killed_while_a_process_is_frozen_or_dead(parent: Parent, target: str, kind: str) -> None:
    parent.ready()
    parent.fault(target, kind)
    parent.kill()
    nothing_left(parent)


@pytest.mark.parametrize("running", range(1, PROCESSES + 1))
def test_of_a_lab_killed_while_it_starts(parent: Parent, running: int) -> None:
    wait_until(lambda: parent.count() >= running)
    parent.kill()
    nothing_left(parent)


def test_of_a_lab_that_is_terminated(parent: Parent) -> None:
    parent.ready()
    parent.process.terminate()
    parent.process.wait()
    nothing_left(parent)


def test_of_a_lab_that_is_interrupted_from_its_terminal(parent: Parent) -> None:
    parent.ready()
    parent.process.send_signal(signal.SIGINT)
    wait_until(lambda: parent.count() == 1, what="all but the lab's own process is gone")
    assert parent.process.stdin is not None
    parent.process.stdin.close()  # which a thread of its still reads
    assert parent.process.wait(10) != 0
    nothing_left(parent)


def test_of_a_lab_killed_while_its_fork_server_is_frozen(parent: Parent) -> None:
    parent.ready()
    os.kill(parent.pids["forkserver"], signal.SIGSTOP)
    parent.kill()
    nothing_left(parent)


def test_of_a_lab_and_its_fork_server_killed_at_once(parent: Parent) -> None:
    parent.ready()
    parent.fault("app", "freeze")
    os.kill(parent.pids["forkserver"], signal.SIGKILL)
    parent.kill()
    wait_until(lambda: not left_of(parent.mark, MARK))
    following = Parent(parent.tmp)  # nobody was left who could have deleted the directory; the next lab does
    try:
        following.ready()
        following.kill()
        nothing_left(following)
    finally:
        following.close()


@pytest.mark.parametrize("victim", ["forkserver", "cdn", "lb", "app-1", "app-2"])
@pytest.mark.parametrize("frozen", [False, True])
def test_of_a_lab_that_closes_after_a_child_was_killed(parent: Parent, victim: str, frozen: bool) -> None:
    parent.ready()
    if frozen:
        parent.fault("lb" if victim == "cdn" else "cdn", "freeze")
        os.kill(parent.pids[victim], signal.SIGSTOP)
    os.kill(parent.pids[victim], signal.SIGKILL)
    assert parent.process.stdin is not None
    parent.process.stdin.close()
    parent.process.wait(20)
    nothing_left(parent)


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return mark


@pytest.mark.parametrize("running", range(1, PROCESSES))
async def test_of_a_start_that_is_cancelled(mark: str, tmp_path: Path, running: int) -> None:
    start = asyncio.ensure_future(Lab.start(ChainSpec()))
    await until(lambda: len(marked(mark, MARK)) >= running or start.done())
    start.cancel()
    with suppress(asyncio.CancelledError):
        await (await start).close()
    assert leftovers(mark, tmp_path) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_of_a_close_that_is_cancelled(mark: str, tmp_path: Path) -> None:
    lab = await Lab.start(ChainSpec())
    await lab.set_fault("app", {"kind": "freeze"})
    close = asyncio.ensure_future(lab.close())
    await asyncio.sleep(0)
    close.cancel()
    with pytest.raises(asyncio.CancelledError):
        await close
    assert leftovers(mark, tmp_path) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("name", ["forkserver", "cdn", "lb", "app-1", "app-2"])
async def test_of_a_start_in_which_a_process_is_killed(mark: str, tmp_path: Path, name: str) -> None:
    """Each of them in turn, at the moment when it has been forked; the start fails, unless it was quicker."""
    start = asyncio.ensure_future(Lab.start(ChainSpec()))
    place = ["forkserver", "cdn", "lb", "app-1", "app-2"].index(name)
    await until(lambda: len(marked(mark, MARK)) > place or start.done())
    for pid in sorted(marked(mark, MARK))[place : place + 1]:
        os.kill(pid, signal.SIGKILL)
    with suppress(EnvironmentProblem):
        await (await start).close()
    assert leftovers(mark, tmp_path) == []


@pytest.mark.slow
async def test_of_many_labs_that_are_killed_at_random(mark: str, tmp_path: Path) -> None:
    chance = random.Random(2)
    for _ in range(10):
        lab = await Lab.start(ChainSpec())
        for pid in chance.sample(marked(mark, MARK), chance.randint(1, 4)):
            os.kill(pid, chance.choice([signal.SIGKILL, signal.SIGSTOP]))
        await lab.close()
        assert leftovers(mark, tmp_path) == []
