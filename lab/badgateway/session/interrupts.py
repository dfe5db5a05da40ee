"""Run a coroutine until it is done or SIGINT, SIGTERM or SIGHUP arrives; then let it close in order.

`asyncio.run` alone handles only SIGINT, and a second Ctrl-C breaks into its clean-up. Here the signals cancel the
main task once, and its `finally` blocks and context managers run to their end: further signals only say so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from badgateway.session import early
from badgateway.session.early import ECHO, SIGNALS
from badgateway.session.exits import INTERRUPTED, Interrupted

PATIENCE = 3
"""The signal at which we stop waiting, should closing hang; the children end by themselves when their pipes close."""

_T = TypeVar("_T")


def run_until_interrupted(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` in a fresh event loop and return its result.

    Raises:
        Interrupted: one of `SIGNALS` arrived; `main` was cancelled and has finished its clean-up.
    """
    return asyncio.run(_guarded(main))


async def _guarded(main: Coroutine[Any, Any, _T]) -> _T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)
    received = 0
    latest = float("-inf")

    def interrupt() -> None:
        nonlocal received, latest
        echo, latest = loop.time() - latest < ECHO, loop.time()
        if echo:
            return
        received += 1
        if received == 1:
            task.cancel()
        elif received >= PATIENCE:
            os._exit(INTERRUPTED)
        else:
            sys.stderr.write("badgateway: closing already; once more to leave at once\n")

    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    for signum in SIGNALS:
        loop.add_signal_handler(signum, interrupt)
    try:
        if early.received():
            task.cancel()
            raise Interrupted
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted from None
        raise
    finally:
        for signum, handler in before.items():
            loop.remove_signal_handler(signum)
            signal.signal(signum, handler)
