"""The app's worker threads: few, as in any app server, so that they can all be busy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """``count`` threads for work that takes time. What finds all of them busy waits for one, in order of arrival."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self._lock = threading.Lock()
        self._waiting = 0
        self._busy = 0

    def state(self) -> dict[str, int]:
        """How many there are, how many work, and how much work waits for one."""
        return {"count": self.count, "busy": self._busy, "waiting": self._waiting}

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns. Cancelled, it drops work that waits; what was begun is done for nobody."""
        with self._lock:
            self._waiting += 1
        future = self._threads.submit(self._counted, work)
        future.add_done_callback(self._dropped)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop what waits and wait for what was begun."""
        self._threads.shutdown(cancel_futures=True)

    def _counted(self, work: Callable[[], T]) -> T:
        with self._lock:
            self._waiting -= 1
            self._busy += 1
        try:
            return work()
        finally:
            with self._lock:
                self._busy -= 1

    def _dropped(self, future: Future[T]) -> None:
        if future.cancelled():
            with self._lock:
                self._waiting -= 1
