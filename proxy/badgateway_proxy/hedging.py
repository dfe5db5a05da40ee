"""One request through one hop, with attempts beside each other: the first that answers well is relayed.

Envoy's hedge_on_per_try_timeout: an attempt that takes too long is not given up, but gets company. See
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/http_routing#request-hedging.
"""

import asyncio
import time
from dataclasses import dataclass

from badgateway_proxy.cache.exchange import CachingExchange
from badgateway_proxy.configuration.config import HopConfig
from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.exchange import Exchange
from badgateway_proxy.policies.balancer import EndpointState
from badgateway_proxy.policies.breaker import Permit
from badgateway_proxy.policies.retry import Retry
from badgateway_proxy.transport.attempt import Attempt
from badgateway_proxy.transport.driving import in_task
from badgateway_proxy.transport.response_reader import ResponseHead

GIVEN_UP = "given up, as another attempt answered first"


@dataclass(slots=True)
class Racer:
    """An attempt under way. ``until``: when it has taken too long, by the loop's clock; None once it got company."""

    number: int
    attempt: Attempt
    member: EndpointState
    permit: Permit | None
    task: asyncio.Task[ResponseHead]
    until: float | None


class HedgingExchange(Exchange):
    """An exchange that begins another attempt, elsewhere, when one has no answer within retry.per_try_timeout.

    All go on then, and the first response that the retry policy does not want to try again is relayed; what fails
    meanwhile is only noted. Hedges count as retries: towards retry.attempts, and any limit on retries. A request
    whose body cannot be sent twice, or that asks to switch protocols, is not hedged.
    """

    __slots__ = ()

    async def _forward(self) -> bool:
        if self._request.upgrade is not None or self._body.small is None:
            return await super()._forward()
        await in_task()
        running: list[Racer] = []
        try:
            first, head = await self._first_of(running)
        finally:
            await self._give_up(running)
        try:
            if self._hop.affinity is not None:
                self._reply.added += self._hop.affinity.cookie_for(first.member, self._request.raw_headers)
            keep_alive = await self._relay(first.attempt, head)
        except HopError as error:
            first.attempt.note_error(error)
            self._note(first, error)
            raise
        except BaseException:  # the client left
            self._permit = first.permit
            self._abandon(first.attempt)
            raise
        else:
            self._note(first, None)
            return keep_alive
        finally:
            _over(first)

    async def _first_of(self, running: list[Racer]) -> tuple[Racer, ResponseHead]:
        """The attempt that won, and the head of its response. All others that are under way stay in `running`.

        Raises:
            HopError: the last one failed, and there is no other.
        """
        number = 1
        self._launch(running, number)
        while True:
            late = min((racer.until for racer in running if racer.until is not None), default=None)
            wait = None if late is None else max(0.0, late - time.monotonic())
            tasks = [racer.task for racer in running]
            done, _ = await asyncio.wait(tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                number += self._hedge(running, number)
                continue
            for racer in [racer for racer in running if racer.task in done]:
                judged = self._judge(racer, alone=len(running) == 1)
                running.remove(racer)
                if isinstance(judged, ResponseHead):
                    return racer, judged
                _over(racer)
                if judged is not None:
                    self._backoff = judged.delay
                    await asyncio.sleep(judged.delay)
                    number += 1
                    self._launch(running, number)

    def _launch(self, running: list[Racer], number: int) -> None:
        attempt = self._begin_attempt()
        attempt.until = float("inf")  # what is late is hedged, not given up
        permit, self._permit = self._permit, None
        until = time.monotonic() + self._hop.per_try_timeout
        task = asyncio.create_task(self._head_of(attempt, number), name="attempt")
        running.append(Racer(number, attempt, self._tried[-1], permit, task, until))

    async def _head_of(self, attempt: Attempt, number: int) -> ResponseHead:
        if not attempt.reuse():
            await attempt.connect()
        head_out = self._request_head(self._body, attempt, number)
        attempt.send(head_out, self._body, self._request.method, self._reply.ask_for_body)
        # Only the first attempt's interim responses are relayed: a client cannot tell from which one they come.
        return await attempt.final_head(None, self._reply.interim if number == 1 else _ignored)

    def _hedge(self, running: list[Racer], number: int) -> int:
        """Give the attempt that is late company, if the policy lets it. Returns how many attempts that makes more."""
        racer = min(running, key=lambda each: float("inf") if each.until is None else each.until)
        racer.until = None
        phase = Phase(racer.attempt.record.phase)
        late = HopError(ErrorType.HTTP_RESPONSE_TIMEOUT, self._hop.deadlines.try_late, phase=phase)
        if self._retry(number, racer.attempt, late) is None:
            return 0
        self._backoff = 0.0
        try:
            self._launch(running, number + 1)
        except HopError:  # nobody to send it to, or the breaker is open: what is under way goes on
            return 0
        running[-1].attempt.record.hedge = True
        return 1

    def _judge(self, racer: Racer, *, alone: bool) -> ResponseHead | Retry | None:
        """The head of a response to relay; or what to do now: nothing, as long as others are under way.

        Raises:
            HopError: why the attempt failed, if there is no other and none may follow.
        """
        attempt, error, head = racer.attempt, None, None
        try:
            head = racer.task.result()
        except HopError as failed:
            error = failed
            attempt.note_error(failed)
        if head is not None and not self._hop.retry.wants_again(head.status):
            self._record.not_retried = None
            return head
        retry = self._retry(len(self._tried), attempt, error) if alone else None
        if alone and retry is None and head is not None:
            return head
        self._note(racer, error)
        if alone and retry is None and error is not None:
            raise error
        return retry

    def _note(self, racer: Racer, error: HopError | None) -> None:
        self._permit, racer.permit = racer.permit, None
        self._report(racer.attempt, error)

    async def _give_up(self, running: list[Racer]) -> None:
        """End whatever is under way; says nothing about the endpoints, only that others were faster."""
        for racer in running:
            racer.task.cancel()
        await asyncio.gather(*(racer.task for racer in running), return_exceptions=True)
        for racer in running:
            self._permit = racer.permit
            self._abandon(racer.attempt)
            racer.attempt.record.details = GIVEN_UP
            _over(racer)


class HedgingCachingExchange(HedgingExchange, CachingExchange):
    """Both: what the cache asks of the upstream is hedged."""

    __slots__ = ()


def exchange_class(config: HopConfig) -> type[Exchange]:
    """The kind of exchange that a configuration asks for."""
    if config.retry.hedge_on_per_try_timeout:
        return HedgingCachingExchange if config.cache.enabled else HedgingExchange
    return CachingExchange if config.cache.enabled else Exchange


def _over(racer: Racer) -> None:
    racer.attempt.finish()
    racer.member.active -= 1


def _ignored(_: ResponseHead) -> None:
    """An interim response that nobody gets."""
