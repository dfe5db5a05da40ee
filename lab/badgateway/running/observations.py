"""What a client saw of one request: the material that expressions and reports measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Failure = Literal["refused", "reset", "closed", "timed_out", "not_http", "overflow"]
"""Why a client got no usable answer: connection refused; RST; closed before a whole head; its own deadline;
bytes that are no HTTP; not sent at all because too many requests were under way (load only)."""

FAILURES: tuple[Failure, ...] = ("refused", "reset", "closed", "timed_out", "not_http", "overflow")


@dataclass(frozen=True, slots=True)
class Observation:
    """One request as its client saw it. Times are seconds since the start of the traffic (or of the scenario)."""

    intended: float
    """When it should have been sent. Latency counts from here, so that a stalled client hides nothing."""
    started: float
    ended: float
    method: str = "GET"
    path: str = "/"
    status: int | None = None
    decided_by: str | None = None
    """The tier that made the response; None where there was none."""
    error: str | None = None
    """RFC 9209 error type; None if no hop reported one."""
    failure: Failure | None = None
    instance: str | None = None
    """The instance that answered, by name; None where none did."""
    truncated: bool = False
    request_id: str = ""

    @property
    def latency(self) -> float:
        """Seconds from when it was meant to be sent to the last byte."""
        return self.ended - self.intended
