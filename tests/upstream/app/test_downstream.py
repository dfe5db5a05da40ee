"""The service that never answers."""

from __future__ import annotations

import asyncio

import pytest

from badgateway_upstream.app.downstream import Downstream, DownstreamTimeoutError
from tests.support.processes import until


async def test_it_accepts_and_never_answers() -> None:
    downstream, ended = Downstream(), asyncio.Event()
    with pytest.raises(DownstreamTimeoutError, match=r"the carrier at 127\.0\.0\.1:\d+ sent nothing within 0\.05 s"):
        await downstream.call(ended, 0.05)
    assert downstream.calls == 1
    await downstream.close()


async def test_a_call_without_a_deadline_lasts_until_the_fault_ends() -> None:
    downstream, ended = Downstream(), asyncio.Event()
    calling = asyncio.create_task(downstream.call(ended, None))
    await until(lambda: downstream.calls)
    assert not calling.done()
    ended.set()
    await calling
    await downstream.close()


async def test_a_caller_that_is_cancelled_hangs_up() -> None:
    downstream = Downstream()
    calling = asyncio.create_task(downstream.call(asyncio.Event(), None))
    await until(lambda: downstream.calls)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await downstream.close()
