"""One request's way through the chain, as a test asks about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """What every hop and instance recorded of one request.

    `hops`: exchange records, outermost hop first; `app`: the instances' records, each with its `instance`;
    `firings`: the faults that struck it. `decided_by`: the hop that made the response, or "app"; `error`: the RFC 9209
    error type that this hop gave, if any.
    """

    request_id: str
    hops: list[dict[str, Any]]
    app: list[dict[str, Any]]
    firings: list[dict[str, Any]]
    decided_by: str
    error: str | None

    @property
    def method(self) -> str:
        """As the client sent it."""
        return str(self.hops[0]["method"])

    @property
    def target(self) -> str:
        """Path and query, as the client sent them."""
        return str(self.hops[0]["target"])

    @property
    def status(self) -> int | None:
        """The status that the client got; None if it got none."""
        status: int | None = self.hops[0]["status"]
        return status

    @property
    def duration(self) -> float:
        """Seconds at the outermost hop."""
        return float(self.hops[0]["duration"])

    @property
    def retry_after(self) -> int | None:
        """Seconds after which the hop that decided told the client to come back; None if it told nothing."""
        told = (record["retry_after"] for record in self.hops if record["hop"] == self.decided_by)
        return next(told, None)

    @property
    def client_gone(self) -> bool:
        """Whether the client left before it had everything."""
        return bool(self.hops[0]["client_gone"])

    @property
    def truncated(self) -> bool:
        """Whether the client got less than was announced."""
        return bool(self.hops[0]["truncated"])

    def attempts(self, hop: str) -> int:
        """How many attempts that hop made; 0 if the request never reached it."""
        return sum(len(record["attempts"]) for record in self.hops if record["hop"] == hop)

    def __str__(self) -> str:
        """In one line: `GET /products → 504, decided by lb: http_response_timeout, 2010 ms`."""
        got = "no response" if self.status is None else str(self.status)
        why = f": {self.error}" if self.error else ""
        return f"{self.method} {self.target} → {got}, decided by {self.decided_by}{why}, {self.duration * 1000:.0f} ms"

    def waterfall(self, names: Mapping[str, str] | None = None) -> str:
        """Every attempt of every hop on one axis of time, a line each, in letters: `c` connect, `s` send, `w` wait…

        `names`: what listens where, `{"127.0.0.1:9001": "app-1"}`; what is not in it is worked out where it can be.
        """
        from badgateway.terminal import waterfall  # noqa: PLC0415  (rich: only for a test that failed)

        return "\n".join(waterfall.lines(self, names or {}))
