"""Run a coroutine until it is done or SIGINT or SIGTERM arrives; then let it close in order.

`asyncio.run` alone handles only SIGINT, and a second Ctrl-C breaks into its clean-up. Here both signals cancel the
main task once, and its `finally` blocks and context managers run to their end: further signals only say so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from badgateway.exits import INTERRUPTED, Interrupted

ECHO = 0.5
"""Seconds within which further signals are the same one: `timeout` and shells send it to the process and its group."""
PATIENCE = 3
"""The signal at which we stop waiting, should closing hang; the children end by themselves when their pipes close."""

_T = TypeVar("_T")


def run_until_interrupted(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` in a fresh event loop and return its result.

    Raises:
        Interrupted: SIGINT or SIGTERM arrived; `main` was cancelled and has finished its clean-up.
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

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted from None
        raise
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signum)
