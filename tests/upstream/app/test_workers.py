"""The app's worker threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from badgateway_upstream.app.workers import Workers
from tests.support.processes import until


async def test_what_finds_all_workers_busy_waits() -> None:
    workers = Workers(2)
    let_go = threading.Event()
    slow = [asyncio.create_task(workers.run(let_go.wait)) for _ in range(2)]
    await until(lambda: workers.state()["busy"] == 2)
    quick = asyncio.create_task(workers.run(lambda: "done"))
    await until(lambda: workers.state()["waiting"] == 1)
    assert not quick.done()
    let_go.set()
    assert await quick == "done"
    await asyncio.gather(*slow)
    assert workers.state() == {"count": 2, "busy": 0, "waiting": 0}
    workers.close()


async def test_work_that_nobody_waits_for_any_more_is_dropped_only_if_it_was_not_begun() -> None:
    workers = Workers(1)
    let_go, done = threading.Event(), []

    def slow() -> None:
        let_go.wait()
        done.append("slow")

    begun = asyncio.create_task(workers.run(slow))
    await until(lambda: workers.state()["busy"] == 1)
    waiting = asyncio.create_task(workers.run(lambda: done.append("waiting")))
    await until(lambda: workers.state()["waiting"] == 1)
    for task in (begun, waiting):
        task.cancel()
    await asyncio.gather(begun, waiting, return_exceptions=True)
    assert workers.state() == {"count": 1, "busy": 1, "waiting": 0}
    let_go.set()
    assert await workers.run(done.copy) == ["slow"]
    workers.close()


async def test_an_exception_comes_back_and_frees_the_worker() -> None:
    workers = Workers(1)
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0)
    assert workers.state()["busy"] == 0
    workers.close()
