"""The processes of one lab: started in parallel, watched, frozen, stopped, started again; none is ever left over."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from badgateway.chain.errors import EnvironmentProblem
from badgateway.processes.forkserver import Component, Exit, ForkServer
from badgateway.processes.rundir import RunDir
from badgateway.processes.stdoutlines import StdoutLines

READY_DEADLINE = 10.0
"""Seconds for a process to print its ready line."""
STOP_GRACE = 2.5
"""Seconds from SIGTERM to SIGKILL: a hop drains for 2 s by default."""
KILL_DEADLINE = 5.0
"""Seconds for a killed process to be gone; SIGKILL takes effect at once unless the system itself hangs."""


class State(StrEnum):
    """What a process is doing, as the kernel and the process itself reported it."""

    STARTING = "starting"
    RUNNING = "running"
    FROZEN = "frozen"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class ProcessChange:
    """A process entered `state`. `was` is the state before; `exit` is set when it is `EXITED`."""

    name: str
    pid: int
    was: State
    state: State
    exit: Exit | None = None

    def to_json(self) -> dict[str, Any]:
        """The change as plain data, for the event stream."""
        ended = None if self.exit is None else {"status": self.exit.status, "signal": self.exit.signal}
        return {"pid": self.pid, "was": self.was.value, "state": self.state.value, "exit": ended}


OnChange = Callable[[ProcessChange], None]
OnLine = Callable[[str, dict[str, Any]], None]


class Process:
    """One hop or instance over all its lives: same name, same ports, a new pid each time.

    `pid`, `state`, `exit` (of its last life) and `restarts` tell how it is. `config` is what it starts with,
    `overrides` what this life differs in, `stopping` whether its end is somebody's wish.
    """

    def __init__(
        self,
        name: str,
        component: Component,
        config: Mapping[str, Any],
        *,
        forkserver: ForkServer,
        rundir: RunDir,
        on_change: OnChange,
        on_line: OnLine,
    ) -> None:
        self.name, self.component, self.config = name, component, config
        self.overrides: Mapping[str, Any] = {}
        self.state = State.EXITED
        self.pid = 0
        self.exit: Exit | None = None
        self.starts = 0
        self.ready = False
        self.stopping = False
        self._forkserver, self._rundir = forkserver, rundir
        self._on_change, self._on_line = on_change, on_line
        self._key = 0
        self._lifeline = -1
        self._stdout: StdoutLines | None = None
        self._wakers: set[asyncio.Future[None]] = set()
        self._lock = asyncio.Lock()

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.starts - 1)

    @property
    def changed(self) -> bool:
        """Whether it is not as it was started: dead, frozen, or with overrides."""
        return self.state is not State.RUNNING or bool(self.overrides)

    @property
    def alive(self) -> bool:
        """Whether there is a process, running or not."""
        return self.state is not State.EXITED

    async def start(self, overrides: Mapping[str, Any] | None = None, *, deadline: float = READY_DEADLINE) -> None:
        """Start it, with `overrides` over its configuration for this life, and wait until it is ready.

        Raises:
            EnvironmentProblem: it ended, or was not ready within `deadline` seconds (it is killed then); its log's
                last lines are in the message.
        """
        async with self._lock:
            if not self.alive:
                self._spawn(overrides or {})
            await self._until_ready(deadline)

    async def stop(self, *, grace: float = STOP_GRACE) -> None:
        """End it: CONT, TERM, and KILL of its whole group after `grace` seconds. Returns once it is gone."""
        async with self._lock:
            await self._stop(grace)

    async def restart(self, overrides: Mapping[str, Any] | None = None, *, deadline: float = READY_DEADLINE) -> None:
        """`stop`, then `start`, on the same ports."""
        async with self._lock:
            await self._stop(STOP_GRACE)
            self._spawn(overrides or {})
            await self._until_ready(deadline)

    def signal(self, number: int) -> None:
        """Send it a signal. What comes of it shows in `state` as soon as the kernel reports it."""
        self._forkserver.send_signal(self._key, number)

    async def until(self, *states: State, deadline: float | None) -> bool:
        """Wait until it is in one of `states`; False if it is not after `deadline` seconds (None: for ever)."""
        try:
            async with asyncio.timeout(deadline):
                while self.state not in states:
                    await self._wait_for_change()
        except TimeoutError:
            return False
        return True

    def drain(self) -> None:
        """Handle at once every line that it has printed so far."""
        if self._stdout is not None:
            self._stdout.drain()

    def kill_now(self) -> None:
        """Have it killed without waiting, and give up its descriptors."""
        if self.alive:
            self._forkserver.send_signal(self._key, signal.SIGCONT, group=True)
            self._forkserver.send_signal(self._key, signal.SIGKILL, group=True)
        self._release()

    # What the fork server tells (forkserver.Watcher)

    def forked(self, pid: int) -> None:
        """It exists."""
        self.pid = pid
        self._enter(State.STARTING)
        if self.ready:  # it was quicker to say so than the fork server to tell its pid
            self._enter(State.RUNNING)

    def stopped(self) -> None:
        """The kernel says that it is frozen."""
        self._enter(State.FROZEN)

    def continued(self) -> None:
        """The kernel says that it goes on. A process frozen while starting tells by itself when it is ready."""
        if self.state is State.FROZEN:
            self._enter(State.RUNNING if self.ready else State.STARTING)

    def exited(self, exit_: Exit) -> None:
        """It is dead. What it printed last counts first: a crash's own firing line, say."""
        self.drain()
        self.exit = exit_
        self._release()
        self._enter(State.EXITED)

    # Inside

    def _spawn(self, overrides: Mapping[str, Any]) -> None:
        self.overrides = overrides
        # before the fork server is told, which may be dead and say so within the call
        self.state, self.exit, self.ready, self.stopping = State.STARTING, None, False, False
        self.starts += 1
        self.pid = 0
        with ExitStack() as copied:
            try:
                stdin, self._lifeline = os.pipe()
                copied.callback(os.close, stdin)
                ours, stdout = os.pipe()
                copied.callback(os.close, stdout)
                self._stdout = StdoutLines(ours, self._line)
                stderr = os.open(self._rundir.log(self.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                copied.callback(os.close, stderr)
                self._key = self._forkserver.spawn(
                    self.component,
                    {**self.config, **overrides},
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    watcher=self,
                )
            except (EnvironmentProblem, OSError) as error:
                self.state, self.exit = State.EXITED, Exit(why="could not be started")
                self._release()
                if isinstance(error, EnvironmentProblem):
                    raise
                raise EnvironmentProblem(f"cannot start {self.name}: {error.strerror}") from error

    async def _until_ready(self, deadline: float) -> None:
        # by what it said, not by its state: that may be another again by the time that we get to look
        try:
            async with asyncio.timeout(deadline):
                while self.alive and not (self.ready and self.pid):
                    await self._wait_for_change()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.kill_now()
            raise
        if self.ready and self.pid:
            return
        if self.alive:
            what = f"was not ready within {deadline:g} s"
            await self._kill()
        else:
            what = f"{self.exit} before it was ready"
        if self._forkserver.failure is not None:
            raise EnvironmentProblem(self._forkserver.failure)
        log = self._rundir.log_tail(self.name)
        raise EnvironmentProblem(f"{self.name} {what}" + (f"; its log ends:\n{log}" if log else ""))

    async def _stop(self, grace: float) -> None:
        self.stopping = True
        if self.alive:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            if not await self.until(State.EXITED, deadline=grace):
                await self._kill()

    async def _kill(self) -> None:
        self._forkserver.send_signal(self._key, signal.SIGKILL, group=True)
        if not await self.until(State.EXITED, deadline=KILL_DEADLINE):
            raise EnvironmentProblem(f"{self.name} (pid {self.pid}) does not die of SIGKILL")

    def _line(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            return  # the component's own libraries may print; only JSON objects are events
        if event.get("event") == "ready":
            self.ready = True
            if self.pid and self.state is State.STARTING:
                self._enter(State.RUNNING)
            else:
                self._wake()  # it may have been seen frozen before its line was read
        else:
            self._on_line(self.name, event)

    def _enter(self, state: State) -> None:
        was, self.state = self.state, state
        self._wake()
        self._on_change(ProcessChange(self.name, self.pid, was, state, self.exit))

    def _wake(self) -> None:
        for waker in self._wakers:
            if not waker.done():
                waker.set_result(None)

    async def _wait_for_change(self) -> None:
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wakers.add(waker)
        try:
            await waker
        finally:
            self._wakers.discard(waker)

    def _release(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._stdout is not None:
            self._stdout.close()
            self._stdout = None
