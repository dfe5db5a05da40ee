"""What `badgateway up` says while it runs: one line per event."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from badgateway.chain.events import Event
from badgateway.terminal.picture import status_style
from badgateway.terminal.screen import seconds

PER_SECOND = 50
"""Lines a second; under load the rest is counted, so that a terminal never slows the chain down."""


@dataclass(frozen=True)
class Line:
    """One event in words, and rich's style for it."""

    time: float
    node: str
    words: str
    style: str = ""

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.time))
        return f"{clock}  {self.node:<6} {self.words}"


def line_of(event: Event) -> Line:
    """The event in one line."""
    words, style = _SAY[event.kind](event.data)
    return Line(event.time, event.node, words, style)


def told_otherwise(event: Event) -> bool:
    """Whether other events say the same: that a fault was set or cleared, that a process ended or was started."""
    return event.kind == "order" and not {"fault", "clear", "restart", "stop"}.isdisjoint(event.data)


def _exchange(data: Mapping[str, Any]) -> tuple[str, str]:
    status = data.get("status")
    words = f"{data['method']} {data['target']}  {status if status is not None else 'no response'}"
    words += f"  {seconds(float(data.get('duration') or 0))}"
    attempts = len(data.get("attempts") or ())
    if data.get("generated"):
        words += f"  DECIDED here: {data.get('error') or 'own response'}"
        words += f" ({data['details']})" if data.get("details") else ""
    elif data.get("error"):
        words += f"  {data['error']}"
    words += f"  cache {data['cache']}" if data.get("cache") else ""
    words += "  cut short" if data.get("truncated") else ""
    words += "  client gone" if data.get("client_gone") else ""
    words += f"  {attempts} attempts" if attempts > 1 else ""
    style = "yellow" if data.get("truncated") else status_style(status)
    return words, style if not data.get("generated") else f"bold {style}"


def _breaker(data: Mapping[str, Any]) -> tuple[str, str]:
    why = str(data.get("why", "")).replace("_", " ")
    return f"breaker {data.get('from')} → {data.get('to')} ({why})".replace("half_open", "half-open"), "magenta"


def _endpoint(data: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"endpoint {data.get('endpoint')} is {data.get('to')} ({str(data.get('why', '')).replace('_', ' ')})",
        "magenta",
    )


def _firing(data: Mapping[str, Any]) -> tuple[str, str]:
    return f"fault {data.get('fault')} ({data.get('kind')}) fires, number {data.get('n')}", "yellow"


def _process(data: Mapping[str, Any]) -> tuple[str, str]:
    end, pid = data.get("exit"), data.get("pid")
    words = f"process {pid} {data.get('state')}" if pid else f"process {data.get('state')}"
    if isinstance(end, Mapping):
        number = end.get("signal")
        words += f", killed by {signal.Signals(number).name}" if number else f", status {end.get('status')}"
    return words, "magenta"


def _fault(data: Mapping[str, Any]) -> tuple[str, str]:
    return f"fault {data.get('id')} ({data.get('kind')}) {data.get('what')}", "yellow"


def _order(data: Mapping[str, Any]) -> tuple[str, str]:
    return " ".join(f"{what} {_plain(order)}".strip() for what, order in data.items()), "cyan"


def _plain(order: object) -> str:
    """`{"lb": {"timeouts": {"send": "1s"}}}` as `lb timeouts send 1s`."""
    if isinstance(order, Mapping):
        return ", ".join(f"{key} {_plain(value)}" for key, value in order.items())
    return "" if order is True else str(order)


_SAY: Mapping[str, Callable[[Mapping[str, Any]], tuple[str, str]]] = {
    "exchange": _exchange,
    "breaker": _breaker,
    "endpoint": _endpoint,
    "firing": _firing,
    "process": _process,
    "fault": _fault,
    "order": _order,
}


class Throttle:
    """Lets PER_SECOND lines of a second through and counts the rest."""

    def __init__(self, limit: int = PER_SECOND) -> None:
        self._limit, self._second, self._count = limit, 0, 0

    def admit(self, now: float) -> tuple[bool, int]:
        """Whether a line may be shown at `now` (seconds), and how many were held back in the second that just ended."""
        held_back = 0
        if int(now) != self._second:
            held_back = max(0, self._count - self._limit)
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= self._limit, held_back
