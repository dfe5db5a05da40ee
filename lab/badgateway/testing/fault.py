"""A fault that a test has set."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from badgateway.chain.errors import InvalidRequest
from badgateway.control.client import ControlClient

__tracebackhide__ = True
"""For pytest: what fails is shown where a test called, not in here."""


class Fault:
    """A fault in the lab. As a context manager it is cleared at the end of the block.

    `may_not_fire`: no test fails because it never fired.
    """

    def __init__(self, control: ControlClient, told: dict[str, Any], *, may_not_fire: bool) -> None:
        self._control = control
        self.id: str = told["id"]
        self.target: str = told["target"]
        self.kind: str = told["kind"]
        self.may_not_fire = may_not_fire
        self._last = told

    @property
    def fired(self) -> int:
        """How often it has happened so far, on all nodes together."""
        return int(self._ask()["fired"])

    @property
    def firings(self) -> list[dict[str, Any]]:
        """When it happened, to which request and where; the latest 1000."""
        return list(self._ask()["firings"])

    @property
    def proof(self) -> str:
        """What shows that it happened, in words; empty while nothing does."""
        return str(self._ask()["proof"])

    def clear(self) -> None:
        """Take it back, if it is not over. What it killed stays dead: `lab.process(name).restart()`."""
        if self._ask()["active"]:
            self._control.clear_fault(self.id)
            self._ask()

    def _ask(self) -> dict[str, Any]:
        with suppress(InvalidRequest):  # the lab was reset meanwhile, and knows it no more: what it knew last holds
            self._last = self._control.fault(self.id)
        return self._last

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def __str__(self) -> str:
        return f"{self.id} ({self.kind} at {self.target})"
