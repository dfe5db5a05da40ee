"""Active health checks: asks each endpoint in turn, over connections of its own, and says what came of it.

Transport only: what a check means for an endpoint is decided elsewhere. Checks are I/O, so they keep real time.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from badgateway_proxy.configuration.health_settings import HealthSettings
from badgateway_proxy.errors import HopError
from badgateway_proxy.policies.balancer import EndpointState
from badgateway_proxy.records import AttemptRecord
from badgateway_proxy.transport.attempt import Attempt, Deadlines
from badgateway_proxy.transport.pool import Pool
from badgateway_proxy.transport.request_body import NO_BODY

Told = Callable[[EndpointState, bool, str], None]
"""Called with the endpoint, whether its check passed, and what came of it in words."""


class HealthProber:
    """Checks endpoints for as long as it is told to, each in a task of its own.

    Args:
        loop: the running event loop.
        pool: opens the connections; none of them is kept.
        told: called with the result of each check.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Pool, told: Told) -> None:
        self._loop = loop
        self._pool = pool
        self._told = told
        self._tasks: dict[EndpointState, asyncio.Task[None]] = {}
        self._settings = HealthSettings()

    def configure(self, settings: HealthSettings, deadlines: Deadlines, endpoints: list[EndpointState]) -> None:
        """Check these endpoints by these settings from now on, at first at once; none where checks are off."""
        wanted = endpoints if settings.enabled else []
        self._deadlines = deadlines
        if settings != self._settings:
            self.close()
            self._settings = settings
        for endpoint in self._tasks.keys() - set(wanted):
            self._tasks.pop(endpoint).cancel()
        for endpoint in wanted:
            if endpoint not in self._tasks:
                self._tasks[endpoint] = self._loop.create_task(self._check_for_ever(endpoint), name="health check")

    def close(self) -> None:
        """Check nothing any more."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _check_for_ever(self, endpoint: EndpointState) -> None:
        while True:
            passed, words = await self._check(endpoint)
            self._told(endpoint, passed, words)
            await asyncio.sleep(self._settings.interval)

    async def _check(self, endpoint: EndpointState) -> tuple[bool, str]:
        settings, now = self._settings, monotonic()
        address = endpoint.endpoint.text
        record = AttemptRecord(address, 0.0)
        whole = now + settings.timeout
        attempt = Attempt(self._loop, self._pool, endpoint.endpoint, self._deadlines, whole, record, now)
        head = f"{settings.method} {settings.path} HTTP/1.1\r\nHost: {address}\r\n{_FIELDS}\r\n\r\n"
        try:
            await attempt.connect()
            attempt.send(head.encode(), NO_BODY, settings.method, _no_body)
            response = await attempt.final_head(None, _ignored)
        except HopError as error:
            if monotonic() >= whole:
                return False, f"no answer within {settings.timeout:g} s"
            return False, error.error.value
        finally:
            attempt.cancel()
        return response.status in settings.statuses, f"status {response.status}"


_FIELDS = "User-Agent: badgateway-health-check\r\nConnection: close"


def _no_body() -> None:
    """There is no client that waits to be asked."""


def _ignored(_: object) -> None:
    """1xx say nothing about health."""
