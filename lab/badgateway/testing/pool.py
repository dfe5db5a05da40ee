"""The labs of one test run: kept over tests, as starting one takes a second, and fresh for each."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from badgateway.chain.errors import LabError
from badgateway.control.client import ControlClient
from badgateway.testing.lab import Lab
from badgateway.testing.starting import LabProcess, Wish

__tracebackhide__ = True
"""For pytest: what fails is shown where a test called, not in here."""

KEPT = 3
"""Labs that wait for the next test that wants one like them. Each is a chain of five or six processes."""


class MakeLab(Protocol):
    """What the fixture `make_badgateway` is: a function that makes a lab for the test."""

    def __call__(
        self,
        chain: Mapping[str, Any] | None = None,
        *,
        scenario: str | None = None,
        backend: str | None = None,
        instances: int | None = None,
        allow_public: bool = False,
    ) -> Lab:
        """A lab of one's own; the arguments are those of `badgateway.testing.running`."""


class Loan:
    """A lab that one test has. `give_back` it."""

    def __init__(self, lab: Lab, give_back: Callable[[], None]) -> None:
        self.lab, self.give_back = lab, give_back


class Pool:
    """Labs of one process, and the shared one if there is one, of which each test then gets a session."""

    def __init__(self, shared: ControlClient | None = None) -> None:
        self._shared = shared
        self._idle: list[tuple[str, LabProcess]] = []
        self._all: list[LabProcess] = []

    def common(self) -> Loan:
        """The default chain: a session of the shared lab, or else a lab of this process."""
        if self._shared is None:
            return self.own(Wish())
        control = replace(self._shared, session=f"test-{secrets.token_hex(8)}")
        lab = Lab(control)
        return Loan(lab, lab.clear_faults)

    def own(self, wish: Wish) -> Loan:
        """A lab that nobody else uses, as it was started.

        Raises:
            EnvironmentProblem: it could not be started.
        """
        process = self._waiting(wish.key) or self._start(wish)
        lab = Lab(process.control, since=time.time())
        return Loan(lab, lambda: self._take_back(wish.key, process))

    def close(self) -> None:
        """End every lab of this process."""
        for process in self._all:
            process.close()
        self._all.clear()
        self._idle.clear()

    def _start(self, wish: Wish) -> LabProcess:
        process = LabProcess.start(wish)
        self._all.append(process)
        return process

    def _waiting(self, key: str) -> LabProcess | None:
        for entry in [entry for entry in self._idle if entry[0] == key]:
            self._idle.remove(entry)
            try:
                entry[1].control.reset()
            except LabError:  # the test before broke it for good
                self._end(entry[1])
            else:
                return entry[1]
        return None

    def _take_back(self, key: str, process: LabProcess) -> None:
        self._idle.append((key, process))
        if len(self._idle) > KEPT:
            self._end(self._idle.pop(0)[1])

    def _end(self, process: LabProcess) -> None:
        process.close()
        self._all.remove(process)
