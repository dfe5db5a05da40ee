"""The way from a hop to its upstream when that is narrow: who may go, who waits for how long, who is refused.

What decides is pure (`policies.upstream_limits`, `policies.adaptive_concurrency`); the waiting is done here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.policies.adaptive_concurrency import AdaptiveLimit, adaptive_limit
from badgateway_proxy.policies.upstream_limits import UpstreamLimits, Verdict
from badgateway_proxy.transport.driving import in_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from badgateway_proxy.configuration.config import HopConfig
    from badgateway_proxy.records import AttemptRecord

_OVERLOADED: Final = frozenset(
    (
        ErrorType.CONNECTION_TIMEOUT,
        ErrorType.CONNECTION_READ_TIMEOUT,
        ErrorType.CONNECTION_WRITE_TIMEOUT,
        ErrorType.CONNECTION_LIMIT_REACHED,
        ErrorType.HTTP_RESPONSE_TIMEOUT,
    )
)
_OVERLOADED_STATUSES: Final = frozenset((503, 504))


class UpstreamGate:
    """Counts the requests that are under way to the upstream, and lets others wait in line.

    Args:
        loop: the running event loop.
        config: the hop's configuration.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, config: HopConfig) -> None:
        self._loop = loop
        self._line: deque[asyncio.Future[None]] = deque()
        self.limits = UpstreamLimits(config.upstream_limits)
        self.adaptive: AdaptiveLimit | None = adaptive_limit(config.adaptive_concurrency)

    def configure(self, config: HopConfig) -> None:
        """Go by other settings from now on. Who is under way or waits stays counted."""
        self.limits.settings = config.upstream_limits
        adaptive = config.adaptive_concurrency
        if self.adaptive is None or self.adaptive.settings != adaptive:
            self.adaptive = adaptive_limit(adaptive)
        self._let_in()

    async def enter(self, deadline: float) -> float:
        """Go to the upstream, perhaps after waiting; `leave` must follow. Returns how long it waited, in seconds.

        Args:
            deadline: when waiting must be over in any case: absolute time of the loop's clock.

        Raises:
            HopError: connection_limit_reached, or proxy_internal_response where the adaptive limit is reached.
        """
        adaptive, limits = self.adaptive, self.limits
        if adaptive is not None and limits.active >= adaptive.limit:
            details = f"{limits.active} requests are under way, and the upstream takes no more without getting slower"
            raise HopError(
                ErrorType.PROXY_INTERNAL_RESPONSE,
                details,
                phase=Phase.ADMISSION,
                status=503,
                retry_after=adaptive.settings.retry_after,
            )
        verdict = limits.arrive()
        if verdict is Verdict.GO:
            return 0.0
        if verdict is not Verdict.WAIT:
            raise self._refusal(verdict.value)
        return await self._wait(deadline)

    async def _wait(self, deadline: float) -> float:
        began = time.monotonic()
        place = self._loop.create_future()
        self._line.append(place)
        within, setting = min(
            (self.limits.settings.pending_timeout, "pending_timeout"), (deadline - began, "timeouts.request")
        )
        try:
            await in_task()
            async with asyncio.timeout(within):
                await place
        except TimeoutError as late:
            if not _called(place):
                self._withdraw(place)
                details = f"no connection to the upstream became free within {within:.3g} s ({setting})"
                raise self._refusal(details) from late
        except BaseException:  # the client left
            if _called(place):
                self._leave()
            else:
                self._withdraw(place)
            raise
        return time.monotonic() - began

    def _withdraw(self, place: asyncio.Future[None]) -> None:
        if place in self._line:
            self._line.remove(place)
            self.limits.give_up()

    def leave(self, in_flight: int, attempts: Sequence[AttemptRecord]) -> None:
        """A request is over; whoever waits longest may take its place.

        Args:
            in_flight: how many requests were under way when it began, itself included.
            attempts: what became of it.
        """
        if self.adaptive is not None and attempts:
            last = attempts[-1]
            if last.error is not None or last.status is not None:  # else its client left, which says nothing
                dropped = last.error in _OVERLOADED or last.status in _OVERLOADED_STATUSES
                took = sum(attempt.connect + attempt.send + attempt.wait for attempt in attempts)
                self.adaptive.sample(took, time.monotonic(), in_flight=in_flight, dropped=dropped)
        self._leave()

    def _leave(self) -> None:
        self.limits.leave()
        self._let_in()

    def _let_in(self) -> None:
        while self.limits.next_may_go():
            place = self._line.popleft()
            if place.done():  # whoever waited there has given up, and is about to be told
                self.limits.leave()
            else:
                place.set_result(None)

    def state(self) -> dict[str, Any]:
        """What is under way now, as JSON."""
        limits = self.limits
        return {
            "active": limits.active,
            "pending": limits.pending,
            "retries": limits.retries,
            "adaptive_limit": None if self.adaptive is None else self.adaptive.limit,
        }

    def _refusal(self, details: str) -> HopError:
        retry_after = self.limits.settings.retry_after
        kind = ErrorType.CONNECTION_LIMIT_REACHED
        return HopError(kind, details, phase=Phase.ADMISSION, retry_after=retry_after)


def is_wanted(config: HopConfig) -> bool:
    """Whether a configuration limits anything that a gate sees to."""
    limits = config.upstream_limits
    limited = (limits.max_connections, limits.max_requests, limits.max_retries) != (None, None, None)
    return limited or config.adaptive_concurrency.algorithm != "off"


def _called(place: asyncio.Future[None]) -> bool:
    return place.done() and not place.cancelled()
