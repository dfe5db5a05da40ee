"""What happens in a lab, as one stream that the console, the control API and the runner read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

EventKind = Literal["exchange", "breaker", "endpoint", "firing", "process", "fault", "order"]
BACKLOG = 10_000
"""Events kept for a subscriber that does not read; then it loses the oldest, never the lab its memory."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `node` is the hop or instance (for a fault: its target), `time` is epoch seconds."""

    kind: EventKind
    node: str
    data: Mapping[str, Any]
    time: float = field(default_factory=time.time)

    def to_json(self) -> dict[str, Any]:
        """The event as plain data."""
        return asdict(self)


class EventBus:
    """Hands each event to every subscriber. `on_first` and `on_last` tell when there is somebody to read for."""

    def __init__(self, on_first: Callable[[], None], on_last: Callable[[], None]) -> None:
        self._queues: set[asyncio.Queue[Event | None]] = set()
        self._on_first, self._on_last = on_first, on_last
        self._closed = False

    def publish(self, kind: EventKind, node: str, data: Mapping[str, Any]) -> None:
        """Tell every subscriber; never waits."""
        if self._queues:
            event = Event(kind, node, data)
            for queue in tuple(self._queues):
                _put(queue, event)

    def subscribe(self) -> Subscription:
        """Every event from this call on (not from the first `anext`), until the lab closes."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(BACKLOG)
        if self._closed:
            queue.put_nowait(None)
        self._queues.add(queue)
        if len(self._queues) == 1 and not self._closed:
            self._on_first()
        return Subscription(queue, self._leave)

    @property
    def subscribers(self) -> int:
        """How many listen."""
        return len(self._queues)

    def _leave(self, queue: asyncio.Queue[Event | None]) -> None:
        if queue in self._queues:
            self._queues.discard(queue)
            if not self._queues and not self._closed:
                self._on_last()

    def close(self) -> None:
        """End every subscription, after what it has not read yet."""
        self._closed = True
        for queue in tuple(self._queues):
            _put(queue, None)


class Subscription(AsyncIterator[Event]):
    """An iterator over events; `aclose()`, or dropping it, ends it."""

    def __init__(
        self, queue: asyncio.Queue[Event | None], leave: Callable[[asyncio.Queue[Event | None]], None]
    ) -> None:
        self._queue, self._leave = queue, leave

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        event = await self._queue.get()
        if event is None:
            await self.aclose()
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Stop listening. May be called twice."""
        self._leave(self._queue)

    def __del__(self) -> None:
        self._leave(self._queue)


def _put(queue: asyncio.Queue[Event | None], item: Event | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)
