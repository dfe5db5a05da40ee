"""Requests on their way to the origin: which of them others may wait for, and which came too late to be stored."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass

from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.errors import HopError
from badgateway_proxy.policies.caching.invalidation import Resource


@dataclass(frozen=True, slots=True)
class Landing:
    """How a flight ended, for those who wait for it. All empty: its response is nobody else's."""

    stored: Stored | None = None
    error: HopError | None = None
    failed: bool = False
    """The origin answered with a failure."""
    left: bool = False
    """Who flew left before there was a response: somebody else must."""


class Flight:
    """One request on its way to the origin.

    Args:
        resource: what it is about.
        key: what those who may wait for it have in common with it; None: nobody may.
    """

    __slots__ = ("_landed", "doomed", "followers", "key", "resource")

    def __init__(self, resource: Resource, key: Hashable | None) -> None:
        self.resource = resource
        self.key = key
        self._landed: asyncio.Future[Landing] | None = None
        #: Whether the resource was invalidated meanwhile: what comes may be what was before, and is not stored.
        self.doomed = False
        #: How many waited for it.
        self.followers = 0

    async def landed(self) -> Landing:
        """Wait for its end."""
        self.followers += 1
        if self._landed is None:
            self._landed = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._landed)  # of one that leaves the others must hear nothing

    def land(self, landing: Landing) -> None:
        """Tell those who wait how it ended."""
        if self._landed is not None and not self._landed.done():
            self._landed.set_result(landing)


class Flights:
    """All requests on their way."""

    def __init__(self) -> None:
        self._joinable: dict[Hashable, Flight] = {}
        self._by_resource: dict[Resource, set[Flight]] = {}

    def find(self, key: Hashable) -> Flight | None:
        """The one to wait for."""
        return self._joinable.get(key)

    def begin(self, resource: Resource, key: Hashable | None) -> Flight:
        """Set off; `end` must follow. ``key``: see `Flight`."""
        flight = Flight(resource, key)
        if key is not None:
            self._joinable[key] = flight
        self._by_resource.setdefault(resource, set()).add(flight)
        return flight

    def end(self, flight: Flight, landing: Landing) -> None:
        """Land; only the first time counts."""
        flying = self._by_resource.get(flight.resource)
        if flying is not None and flight in flying:
            flying.discard(flight)
            if not flying:
                del self._by_resource[flight.resource]
        self._part(flight)
        flight.land(landing)

    def doom(self, resource: Resource | None = None) -> None:
        """Let nothing that is on its way now be stored, or joined by later requests. None: of any resource."""
        found = self._by_resource.get(resource, set()) if resource else set().union(*self._by_resource.values())
        for flight in found:
            flight.doomed = True
            self._part(flight)

    def _part(self, flight: Flight) -> None:
        if flight.key is not None and self._joinable.get(flight.key) is flight:
            del self._joinable[flight.key]
