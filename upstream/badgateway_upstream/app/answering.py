"""Answering one request: the true answer, or what the faults that act on it make of it."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable

from badgateway_upstream.app.answers import Answer
from badgateway_upstream.app.handling import OneHandling
from badgateway_upstream.engine.activefault import Exchange, OneTime
from badgateway_upstream.engine.book import Plan
from badgateway_upstream.engine.registry import Break, Shape
from badgateway_upstream.service import Service
from badgateway_upstream.wire.patience import FaultPatience
from badgateway_upstream.wire.player import AnswerInParts, Player
from badgateway_upstream.wire.requests import Request
from badgateway_upstream.wire.sinks import Sink


class Answering:
    """The answering of one request. ``made``: what the app said already, None when it was not asked yet."""

    def __init__(
        self,
        service: Service,
        sink: Sink,
        gone: asyncio.Event,
        request: Request,
        exchange: Exchange,
        plan: Plan | None,
        made: Answer | Awaitable[Answer] | None,
    ) -> None:
        self.request = request
        self.exchange = exchange
        self._service = service
        self._sink = sink
        self._gone = gone
        self._plan = plan or Plan()
        self._made = made
        self._answer = AnswerInParts(self._make, self._started)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on the connection, as far as the answer says."""
        return self._answer.reusable

    async def perform(self) -> bool:
        """Answer; return whether the connection is still open after it. Raises ConnectionError, StreamEndedError."""
        try:
            return await self._play()
        finally:
            if inspect.iscoroutine(self._made):
                self._made.close()  # in case nobody came to ask for it
            await self._answer.close()
            self.exchange.duration = time.time() - self.exchange.started

    async def _play(self) -> bool:
        sink = self._sink
        for one_time in self._plan.shapes:
            effect = one_time.fault.kind.effect
            if isinstance(effect, Shape):
                sink = effect.wrap(one_time.fault.spec, sink, one_time)
        script = self._plan.script
        if script is None:
            async for piece in self._answer.pieces():
                await sink.write(piece)
            return True
        patience = FaultPatience(script, self._gone, self.request.body.until)
        player = Player(sink, patience, self._answer, self._service.book.limits.files)
        script.fire()
        return await player.play(script.fault.script)

    async def _make(self) -> Answer:
        made = self._made
        if made is None:
            made = self._service.app.answer(self.request, None if self._plan.broken is None else self._strike)
        return made if isinstance(made, Answer) else await made

    def _strike(self) -> Awaitable[None] | None:
        broken = self._plan.broken
        if broken is None or not isinstance(broken.fault.kind.effect, Break):
            return None
        broken.fire()
        handling = OneHandling(self._service.equipment, broken.fault.ended)
        return broken.fault.kind.effect.strike(broken.fault.spec, handling)

    def _started(self, answer: Answer) -> None:
        self.exchange.status = answer.status


async def play_alone(sink: Sink, gone: asyncio.Event, one_time: OneTime) -> None:
    """Play the script of a fault that acts on a connection from which nothing was read."""
    patience = FaultPatience(one_time, gone, _no_body)
    one_time.fire()
    await Player(sink, patience, None).play(one_time.fault.script)


def begin_process_faults(plan: Plan, service: Service) -> None:
    """Begin the process faults that act on a request; some never return."""
    for one_time in plan.processes:
        one_time.fire()
        service.book.begin(one_time.fault, service.process)


async def _no_body(count: int | None) -> None:
    del count
