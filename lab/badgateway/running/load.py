"""Open-loop load: every request is sent when it is due, whether or not earlier ones were answered.

Latency counts from when a request was *due*. A client that waits for answers before it sends the next request
measures a stalled server as one slow request instead of hundreds (coordinated omission); this one does not.
"""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Iterator, Mapping, Sequence

from badgateway.running.observations import Observation
from badgateway.running.probe import Client
from badgateway.scenario.traffic import Traffic

_BODY_CAP = 0
_SPARE_FILES = 256


def due_times(stream: Traffic) -> Iterator[float]:
    """When each request of a stream is due, in seconds after the traffic as a whole began."""
    rate, end = stream.rate.per_second, stream.end
    if stream.arrivals == "constant":
        for n in range(int(stream.for_ * rate + 1e-9)):
            yield stream.start + n / rate
        return
    dice = random.Random(stream.seed)  # noqa: S311 — repeatable arrivals, no secrets
    due = stream.start + dice.expovariate(rate)
    while due < end:
        yield due
        due += dice.expovariate(rate)


async def run_traffic(
    streams: Sequence[Traffic], urls: Mapping[str, str], observations: list[Observation], *, origin: float | None = None
) -> None:
    """Send all streams at once; return when the last answer, or its time-out, is in.

    `urls`: where each entry (`cdn`, `lb`, `app-1`) listens. Observations are appended as they end, in seconds since
    `origin` (event-loop time; now by default). No request is ever sent twice.
    """
    loop = asyncio.get_running_loop()
    _allow_files(sum(stream.in_flight for stream in streams))
    start = loop.time() if origin is None else origin
    async with asyncio.TaskGroup() as group:
        for stream in streams:
            group.create_task(_Stream(stream, urls[stream.to], start, observations).run())


class _Stream:
    def __init__(self, traffic: Traffic, url: str, origin: float, observations: list[Observation]) -> None:
        self.traffic, self.origin, self.observations = traffic, origin, observations
        self.client = Client(url, body_cap=_BODY_CAP)
        self.body = None if traffic.body is None else traffic.body.encode()
        self.in_flight = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                for due in due_times(self.traffic):
                    ahead = self.origin + due - loop.time()
                    if ahead > 0:
                        await asyncio.sleep(ahead)
                    if self.in_flight >= self.traffic.in_flight:
                        now = loop.time() - self.origin
                        self.observations.append(Observation(due, now, now, failure="overflow"))
                        continue
                    self.in_flight += 1
                    group.create_task(self._request(due))
        finally:
            self.client.close()

    async def _request(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        traffic = self.traffic
        started = loop.time() - self.origin
        try:
            answer = await self.client.send(traffic.method, traffic.path, traffic.headers, self.body, traffic.timeout)
        finally:
            self.in_flight -= 1
        ended = loop.time() - self.origin
        self.observations.append(
            answer.observed(traffic.method, traffic.path, intended=due, started=started, ended=ended)
        )


def _allow_files(wanted: int) -> None:
    """Raise the soft limit of open files as far as needed and allowed: each request under way is a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
