from __future__ import annotations

import asyncio

from badgateway_proxy.cache.flights import Flights, Landing

RESOURCE, OTHER = ("a", "/"), ("a", "/other")


async def test_those_who_wait_hear_how_it_ended_and_only_once() -> None:
    flights = Flights()
    flight = flights.begin(RESOURCE, "key")
    assert flights.find("key") is flight
    waiting = [asyncio.create_task(flight.landed()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    landing = Landing(failed=True)
    flights.end(flight, landing)
    flights.end(flight, Landing(left=True))
    assert [await each for each in waiting[1:]] == [landing, landing]
    assert flights.find("key") is None


async def test_one_without_a_key_is_not_found() -> None:
    flights = Flights()
    flights.begin(RESOURCE, None)
    assert flights.find(None) is None


async def test_what_is_doomed_is_joined_by_nobody_else() -> None:
    flights = Flights()
    mine, other = flights.begin(RESOURCE, "mine"), flights.begin(OTHER, "other")
    flights.doom(RESOURCE)
    assert (mine.doomed, other.doomed) == (True, False)
    assert flights.find("mine") is None
    later = flights.begin(RESOURCE, "mine")
    flights.end(mine, Landing(left=True))
    assert flights.find("mine") is later
    flights.doom()
    assert later.doomed
    assert other.doomed
    flights.doom(("b", "/"))


async def test_nothing_stays_behind() -> None:
    flights = Flights()
    for key in (None, "a", "b"):
        flights.end(flights.begin(RESOURCE, key), Landing(left=True))
    flights.doom()
    assert flights.find("a") is None
    assert not flights._by_resource
