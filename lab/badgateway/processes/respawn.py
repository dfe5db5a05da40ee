"""Starting an instance again that a fault killed, for the faults that need a supervisor (a slow boot, a
crash loop).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from badgateway.chain.errors import EnvironmentProblem
from badgateway.chain.faultboard import FaultBoard, FaultState
from badgateway.chain.faultspecs import CheckedFault
from badgateway.processes.supervisor import Process, ProcessChange, State
from badgateway.processes.together import Tasks

BACKOFF_FIRST = 0.1
BACKOFF_MOST = 2.0
"""Seconds before a process is started again: doubled each time, as an orchestrator does, only faster."""
BOOT_DEADLINE = 3600.0
"""Seconds: as long as a slow boot may last. The end of the fault ends it sooner."""


class Respawner:
    """Knows which faults bring a killed process back, and does it."""

    def __init__(self, board: FaultBoard, tasks: Tasks) -> None:
        self._board, self._tasks = board, tasks
        self._faults: dict[str, CheckedFault] = {}
        self._lives: dict[str, int] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}

    def know(self, id_: str, checked: CheckedFault) -> None:
        """Note a fault that is being set, and forget those that the board has forgotten."""
        on_board = {fault.id for fault in self._board.all(ended=True)}
        self._faults = {known: spec for known, spec in self._faults.items() if known in on_board}
        self._faults[id_] = checked

    def died(self, process: Process, change: ProcessChange) -> None:
        """A process is dead. If a fault did it that starts it again, so do we."""
        if change.state is not State.EXITED or process.stopping:
            return
        culprit = self._board.culprit(process.name)
        if culprit is not None and self._overrides(culprit) is None:
            self.forget(process.name)
        elif culprit is not None or process.name in self._lives:
            running = self._starting.get(process.name)
            if running is None or running.done():
                name = f"respawn {process.name}"
                self._starting[process.name] = self._tasks.start(self._again(process), name=name)

    async def fault_ended(self, fault: FaultState, process: Process) -> bool:
        """A fault is over. A process that it keeps from running is started as it should be; True if so."""
        if self._overrides(fault) is None or process.name not in self._lives:
            return False
        if process.state is State.RUNNING:
            self._lives[process.name] = 0  # what may be left of the fault ends with this life; then comes a plain one
            return False
        await self._cancel(process.name)
        self._lives.pop(process.name, None)
        await process.restart()
        return True

    def forget(self, name: str) -> None:
        """Somebody else decides about a process now."""
        self._lives.pop(name, None)
        task = self._starting.pop(name, None)
        if task is not None:
            task.cancel()

    def _overrides(self, fault: FaultState) -> Mapping[str, Any] | None:
        checked = self._faults.get(fault.id)
        return None if checked is None else checked.respawn()

    async def _cancel(self, name: str) -> None:
        task = self._starting.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _again(self, process: Process) -> None:
        while not process.alive:
            life = self._lives[process.name] = self._lives.get(process.name, 0) + 1
            await asyncio.sleep(min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** (life - 1)))
            culprit = self._board.culprit(process.name)
            overrides = None if culprit is None else self._overrides(culprit)
            if overrides is None:
                self._lives.pop(process.name, None)
            try:
                await process.start(overrides, deadline=BOOT_DEADLINE)
            except EnvironmentProblem:
                if overrides is None:
                    return  # it is down for a reason of its own, which its state tells
