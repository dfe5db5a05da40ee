"""The lab's clock: real time plus what has been advanced. Faults expire by it; sockets keep real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class LabClock:
    """Seconds that only go forward. `monotonic` is where real time comes from."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._changed = asyncio.Event()
        self.offset = 0.0

    def now(self) -> float:
        """Seconds since some moment of no meaning."""
        return self._monotonic() + self.offset

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self.offset += seconds
        self.changed()

    def changed(self) -> None:
        """Wake who waits: the time, or what to wait for, is another now."""
        self._changed.set()

    async def wait(self, moment: float | None) -> None:
        """Until it is `moment` (None: for ever), or `changed` is called."""
        self._changed.clear()
        try:
            async with asyncio.timeout(None if moment is None else max(0.0, moment - self.now())):
                await self._changed.wait()
        except TimeoutError:
            return
