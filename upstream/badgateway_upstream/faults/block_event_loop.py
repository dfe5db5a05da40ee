"""A handler blocks the event loop: while it works or sleeps, no other request of the instance gets a turn."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Annotated, Literal

from pydantic import Field

from badgateway_upstream.durations import PositiveDuration
from badgateway_upstream.engine.registry import Break, FaultSpec, FaultType, Handling, register


class BlockEventLoop(FaultSpec):
    """Attributes of `block_event_loop`."""

    kind: Literal["block_event_loop"] = "block_event_loop"
    blocks: Annotated[PositiveDuration, Field(le=10.0)] = 1.0
    """For how long; at most 10s, as nothing can end it."""
    work: Literal["sleep", "cpu"] = "sleep"
    """What it does meanwhile: time.sleep(), as any call that waits, or computing."""
    in_thread: bool = False
    """Whether a worker thread does it instead, which is the cure."""


def _block(spec: BlockEventLoop, handling: Handling) -> Awaitable[None] | None:
    def work() -> None:
        if spec.work == "sleep":
            time.sleep(spec.blocks)
            return
        end = time.monotonic() + spec.blocks
        while time.monotonic() < end:
            sum(range(1000))

    if spec.in_thread:
        return handling.in_worker(work)
    work()
    return None


register(
    FaultType(
        name="block_event_loop",
        category="app",
        summary="Sleeps or computes in the handler without letting the event loop go on: all requests wait.",
        provokes="http_response_timeout",
        attributes=BlockEventLoop,
        effect=Break(_block),
    )
)
