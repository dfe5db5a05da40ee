"""One request sent through a chain, and what every hop recorded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from badgateway.chain.lab import Lab
from badgateway.chain.traces import Trace
from badgateway.running.answer import Answer
from badgateway.running.probe import send
from badgateway.terminal.screen import seconds

NOTHING: Final = Trace("", [], [], [], "nobody", None)


@dataclass(frozen=True)
class Sent:
    """A request, its answer as the client saw it, and its trace."""

    method: str
    path: str
    answer: Answer
    trace: Trace

    @property
    def summary(self) -> str:
        """The client's view in one line: `GET /products → 502 in 3 ms`."""
        return f"{self.method} {self.path} → {outcome(self.answer)} in {seconds(self.answer.elapsed)}"

    def attempts(self, hop: str) -> list[Mapping[str, Any]]:
        """All attempts that `hop` made."""
        return [attempt for record in self.trace.hops if record["hop"] == hop for attempt in record["attempts"]]


def outcome(answer: Answer) -> str:
    """What the client got, in a few words: `502 Bad Gateway`, `200 OK, cut short: …`, `no answer: refused`."""
    if answer.status is None:
        return f"no answer: {(answer.failure or 'nothing').replace('_', ' ')}"
    words = f"{answer.status} {answer.reason}".strip()
    return f"{words}, cut short: {answer.truncated}" if answer.truncated else words


async def send_through(lab: Lab, method: str, path: str, *, timeout: float) -> Sent:
    """Send one request to the chain's outermost hop, and collect what every hop recorded of it.

    `timeout`: seconds that the client waits for all of the answer.
    """
    answer = await send(lab.url, method, path, timeout=timeout)
    traces = await lab.exchanges(request_id=answer.request_id)
    return Sent(method, path, answer, traces[0] if traces else NOTHING)


def names_of(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What listens where: `{"127.0.0.1:9001": "app-1"}`."""
    return {urlsplit(str(node["url"])).netloc: str(node["name"]) for node in nodes}
