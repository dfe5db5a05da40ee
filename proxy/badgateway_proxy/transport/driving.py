"""Running an exchange without a task for as long as it waits for nothing but its endpoint's next bytes.

Waking a task costs a future, a turn of the event loop and a task's step: a tenth of a small exchange each. So a
client's connection runs the exchange's coroutine itself (`Driven`), and a `Change` resumes it at once, from the
callback that brings the bytes. Whatever only works in a task asks for one (`in_task`), and the coroutine goes on in
the task that the connection has anyway. The exchange looks the same either way.
"""

import asyncio
import types
from asyncio import current_task
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

Exchanging = Coroutine[Any, Any, bool]


class Change:
    """Something that happens now and then, and that one coroutine at a time waits for (by awaiting this).

    Args:
        loop: the running event loop.
    """

    __slots__ = ("_loop", "_waiter", "driven")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        #: What to resume next time.
        self.driven: Driven | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        if current_task(self._loop) is None:
            yield self  # to `Driven`
        else:
            self._waiter = self._loop.create_future()
            yield from self._waiter

    def happened(self) -> None:
        """Let who waits go on in a later turn of the event loop, in a task."""
        if self.driven is not None:
            driven, self.driven = self.driven, None
            driven.hand_over()
        elif self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            if not waiter.done():
                waiter.set_result(None)

    def happened_now(self) -> None:
        """As `happened`, but a driven coroutine goes on within this call: for a callback that is over behind it."""
        if self.driven is not None:
            driven, self.driven = self.driven, None
            driven.resume()
        else:
            self.happened()


class _InTask:
    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        if current_task() is None:
            yield  # to `Driven`


_IN_TASK = _InTask()


def in_task() -> Awaitable[None]:
    """Await this before what needs a task: asyncio's timeouts and sleep, any future. In a task it costs nothing."""
    return _IN_TASK


class Driven:
    """One coroutine after the other, each run by hand until it returns, or needs a task.

    Args:
        over: called with what a coroutine returned.
        hand_over: called when the coroutine needs a task, which then takes it from `rest`.
    """

    __slots__ = ("_coroutine", "_on_hand_over", "_over", "handed_over")

    def __init__(self, over: Callable[[bool], None], hand_over: Callable[[], None]) -> None:
        self._over = over
        self._on_hand_over = hand_over
        self._coroutine: Exchanging | None = None
        #: Whether a task is to go on with the coroutine.
        self.handed_over = False

    def begin(self, coroutine: Exchanging) -> None:
        """Run a new coroutine; the one before is over."""
        self._coroutine = coroutine
        self.resume()

    def resume(self) -> None:
        """Let it go on, and see why it stops."""
        coroutine = self._coroutine
        if coroutine is None:
            return  # cancelled meanwhile
        try:
            awaited = coroutine.send(None)
        except StopIteration as end:
            self._coroutine = None
            self._over(end.value)
        except BaseException:
            self._coroutine = None
            self._over(False)
            raise
        else:
            if awaited is None:
                self.hand_over()
            else:
                awaited.driven = self

    def hand_over(self) -> None:
        """Let it go on in a task."""
        if self._coroutine is not None:
            self.handed_over = True
            self._on_hand_over()

    def cancel(self) -> None:
        """Cancel it as a task would; safe to call when there is none."""
        coroutine, self._coroutine = self._coroutine, None
        self.handed_over = False
        if coroutine is not None:
            try:
                coroutine.throw(asyncio.CancelledError())
            except (asyncio.CancelledError, StopIteration):
                self._over(False)

    def rest(self) -> Awaitable[bool]:
        """What is left of the coroutine, for a task to await."""
        coroutine, self._coroutine = self._coroutine, None
        self.handed_over = False
        assert coroutine is not None
        return _go_on(coroutine)


@types.coroutine
def _go_on(coroutine: Exchanging) -> Generator[Any, Any, bool]:
    keep_alive: bool = yield from coroutine  # `await` would refuse one that has begun
    return keep_alive
