"""What the runner needs of a lab. `badgateway.chain.lab.Lab` is one; a test may bring its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from badgateway.chain.errors import InvalidRequest
from badgateway.chain.spec import ChainSpec
from badgateway.running.results import TraceLike


class UnfitError(InvalidRequest):
    """This lab cannot be, or do, what the scenario needs; the scenario is then skipped, not run differently."""


class FaultLike(Protocol):
    """A fault that was set. `fired` is kept up to date, also after the fault is over."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def target(self) -> str:
        """Where it was set."""

    @property
    def kind(self) -> str:
        """Its name."""

    @property
    def fired(self) -> int:
        """How often it happened."""


class LabLike(Protocol):
    """A running chain."""

    @property
    def urls(self) -> Mapping[str, str]:
        """Where each node listens, by name."""

    @property
    def hops(self) -> Sequence[str]:
        """Outermost first."""

    @property
    def instances(self) -> Sequence[str]:
        """The app's processes."""

    async def close(self) -> None:
        """Stop every process."""

    async def set_fault(self, target: str, spec: Mapping[str, object]) -> FaultLike:
        """Set a fault; for one that strikes a process at once, return when it has."""

    async def clear_fault(self, id: str) -> None:
        """Clear one."""

    async def clear_faults(self) -> None:
        """Clear all."""

    async def faults(self) -> Sequence[FaultLike]:
        """Those in force. Each that was set has counted by then what has happened so far."""

    async def restart(self, target: str) -> Sequence[str]:
        """Start anew, on the same port; returns what was lost so: faults and patches."""

    async def stop(self, target: str) -> None:
        """Stop in good order."""

    async def deploy(self, target: str, settings: Mapping[str, object], *, may_not_start: bool = False) -> None:
        """Start instances anew with other settings, one after the other."""

    async def patch(self, hop: str, patch: Mapping[str, object]) -> Mapping[str, Any]:
        """Change a hop's live configuration."""

    async def breaker(self, hop: str, action: str) -> Mapping[str, Any]:
        """Act on a hop's breaker."""

    async def purge(self, hop: str, what: Mapping[str, object]) -> int:
        """Let a hop's cache forget responses."""

    async def advance(self, seconds: float) -> None:
        """Let every process's clock run ahead."""

    async def state(self, name: str) -> Mapping[str, Any]:
        """A node's admin state."""

    async def exchanges(self, *, request_id: str | None = None, limit: int = 100) -> Sequence[TraceLike]:
        """Traces of requests."""


LabFactory = Callable[[ChainSpec], Awaitable[LabLike]]
"""Starts a lab for a chain; for instance `functools.partial(Lab.start, forkserver=server)`."""
