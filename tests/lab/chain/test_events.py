"""Events reach every subscriber, from the moment it subscribed until the lab closes."""

from __future__ import annotations

import asyncio

from badgateway.chain import events
from badgateway.chain.events import EventBus


def bus() -> tuple[EventBus, list[str]]:
    calls: list[str] = []
    return EventBus(lambda: calls.append("first"), lambda: calls.append("last")), calls


async def test_everybody_gets_what_happens_after_subscribing_and_an_end() -> None:
    stream, _ = bus()
    stream.publish("fault", "app", {"n": 0})
    one, other = stream.subscribe(), stream.subscribe()
    stream.publish("fault", "app", {"n": 1})
    stream.close()
    assert [event.data["n"] async for event in one] == [1]
    assert [event.data["n"] async for event in other] == [1]
    assert [event async for event in stream.subscribe()] == []


async def test_sources_are_told_of_the_first_and_the_last() -> None:
    stream, calls = bus()
    one, other = stream.subscribe(), stream.subscribe()
    assert calls == ["first"]
    del one
    assert calls == ["first"]
    del other
    assert calls == ["first", "last"]


async def test_one_that_does_not_read_loses_the_oldest() -> None:
    stream, _ = bus()
    slow = stream.subscribe()
    for n in range(events.BACKLOG + 5):
        stream.publish("fault", "app", {"n": n})
    assert (await anext(slow)).data["n"] == 5


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    stream, _ = bus()
    slow = stream.subscribe()
    waiting = asyncio.ensure_future(anext(slow))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    stream.publish("fault", "app", {"n": 1})
    event = await anext(slow)
    assert event.to_json()["data"] == {"n": 1}
