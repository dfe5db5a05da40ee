"""One client connection: requests in, answers or faults out. Where the raw socket, the app and the faults meet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

from badgateway_upstream.app.answering import Answering, begin_process_faults, play_alone
from badgateway_upstream.app.answers import Answer, head
from badgateway_upstream.app.store import as_json
from badgateway_upstream.engine.activefault import Exchange, OneTime
from badgateway_upstream.engine.book import Plan
from badgateway_upstream.engine.schedule import Occasion
from badgateway_upstream.service import Service
from badgateway_upstream.wire.requests import BadRequestError, Intake, Request
from badgateway_upstream.wire.sinks import StreamEndedError
from badgateway_upstream.wire.tls_stream import TlsStream

_LOG: Final = logging.getLogger("badgateway_upstream.wire.connection")
_LINGER: Final = 1.0
_MOST_WAITING: Final = 16
_RST: Final = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """Serves one client. Requests of one connection are answered one after the other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._intake = Intake(self._flow)
        self._task: asyncio.Task[None] | None = None
        self._request: Request | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._ending = False
        self._paused = False
        self._deaf = False
        self._refusal: BadRequestError | None = None
        self.peer = ""
        self.last_active = self._loop.time()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered, has arrived, or has begun to arrive."""
        return self._request is None and not self._intake.ready and self._intake.between_requests

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The answering of the current request, if it takes time."""
        return self._task

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted: faults that act on accept act now."""
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        if peer is not None:
            self.peer = f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
        self._service.opened(self)
        occasion = Occasion(self._service.name)
        plan = self._service.book.plan(occasion, None, self.peer, accepting=True)
        if isinstance(transport, TlsStream):
            transport = self._secured(transport, plan)
        self._transport = transport
        # The kernel's buffer is enough: a write that returns was taken by the kernel, which a reset relies on.
        transport.set_write_buffer_limits(high=0)
        if plan is not None and plan.script is not None:
            self._deaf = True
            self._start(self._play_on_accept(plan.script))

    def _secured(self, stream: TlsStream, plan: Plan | None) -> asyncio.Transport:
        """Begin with TLS, unless a fault has it otherwise; what is played on accept is played past it."""
        context = None
        if plan is None or plan.script is None:
            context = self._service.tls_for(None if plan is None else plan.handshake)
        if context is None:
            return stream.step_aside()
        stream.speak(context)
        return stream

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nobody waits for an answer any more."""
        self._gone.set()
        self._ending = True
        self._writable.set()
        self._intake.end()
        if self._task is not None:
            self._task.cancel()
        self._service.closed(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.last_active = self._loop.time()
        if self._deaf:
            return
        try:
            self._intake.feed(data)
        except BadRequestError as error:
            self._deaf = True
            self._refusal = error
        self._pump()

    def eof_received(self) -> bool:
        """The client sends no more; what it asked for is still answered."""
        self._gone.set()
        self._intake.end()
        if self._ending:
            self._transport.close()
        elif self._task is None and not self._intake.ready:
            self._end()
        return True

    def pause_writing(self) -> None:
        """The kernel takes no more: the client reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The kernel takes bytes again."""
        self._writable.set()
        self._pump()

    # Sink: what scripts and flow faults write to

    async def write(self, data: bytes) -> None:
        """Send bytes; returns when the kernel has them. Raises ConnectionResetError when the client is gone."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    async def close(self) -> None:
        """End the stream with a FIN."""
        self._end()

    async def reset(self) -> None:
        """Break the connection off with an RST. What was written has reached the kernel already."""
        self._ending = True
        with contextlib.suppress(OSError):
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self._transport.abort()

    # For the instance

    def close_if_idle(self) -> None:
        """Close a connection that has no request."""
        if self.idle:
            self._end()

    def abort(self) -> None:
        """Close now, whatever is going on."""
        self._transport.abort()

    # Inside

    def _flow(self) -> None:
        """Let the client send, or make it wait, by what is already here."""
        ready = self._intake.ready
        full = len(ready) > _MOST_WAITING
        for request in (self._request, ready[-1] if ready else None):
            full = full or (request is not None and request.full)
        if full != self._paused and not self._transport.is_closing():
            self._paused = full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _pump(self) -> None:
        """Begin with the next request, if none is being answered and the client takes what we write."""
        ready = self._intake.ready
        while ready and self._task is None and not self._ending and self._writable.is_set():
            self._begin(ready.popleft())
        if self._task is None and not ready and self._refusal is not None and not self._ending:
            self._refuse(self._refusal)
        self._flow()

    def _begin(self, request: Request) -> None:
        self._request = request
        request.body.on_read = self._say_continue if request.header("expect") == "100-continue" else None
        service = self._service
        exchange = service.began(request, self.peer)
        plan = None
        if len(service.book):
            occasion = Occasion(service.name, request.method, request.path, request.headers, request.number)
            plan = service.book.plan(occasion, exchange, self.peer)
        made: Answer | Awaitable[Answer] | None = None
        if plan is None or plan.empty:
            made = service.app.answer(request)
            if isinstance(made, Answer) and isinstance(made.body, bytes):
                self._transport.write(made.head + made.body)
                exchange.status = made.status
                self._finish(request, exchange, reusable=made.reusable)
                return
        else:
            begin_process_faults(plan, service)
        self._start(self._answer(Answering(service, self, self._gone, request, exchange, plan, made)))

    async def _answer(self, answering: Answering) -> None:
        try:
            async with asyncio.timeout(self._service.worker_timeout) as limit:
                is_open = await answering.perform()
        except TimeoutError:
            if not limit.expired():
                raise
            self._give_up(answering.request)
            return
        self._task = None
        if is_open:
            self._finish(answering.request, answering.exchange, reusable=answering.reusable)
        self._pump()

    def _give_up(self, request: Request) -> None:
        """End as a server does that kills a worker for taking too long: with what was sent so far, and no more."""
        request_id = request.header("x-request-id")
        _LOG.critical("WORKER TIMEOUT in %s %s", request.method, request.path, extra={"request_id": request_id})
        self._task = None
        self._ending = True
        self._transport.abort()

    async def _play_on_accept(self, one_time: OneTime) -> None:
        await play_alone(self, self._gone, one_time)
        self._task = None

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StreamEndedError:
            self._task = None
        except ConnectionError as error:
            # Either the client left or, in a relay, the backend broke off: nobody can be told but by closing.
            _LOG.debug("%s: %s", self.peer, error)
            self._task = None
            self._end()
        except Exception:  # noqa: BLE001 - logged; a connection must not stay open unserved
            _LOG.exception("while answering %s", self.peer)
            self._task = None
            self._end()

    def _finish(self, request: Request, exchange: Exchange, *, reusable: bool) -> None:
        exchange.duration = time.time() - exchange.started
        self.last_active = self._loop.time()
        self._request = None
        request.body.discard()
        over = request.tunnel is not None or (self._gone.is_set() and not self._intake.ready)
        if over or not reusable or not request.keep_alive:
            self._end()

    def _end(self) -> None:
        """Send a FIN and wait a little for the client's: closing at once with unread bytes would be an RST."""
        if self._ending:
            return
        self._ending = self._deaf = True
        if self._request is not None:
            self._request.body.discard()
        if self._gone.is_set():
            self._transport.close()
            return
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self._flow()
        self._loop.call_later(_LINGER, self._transport.close)

    def _say_continue(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, error: BadRequestError) -> None:
        body = as_json({"error": str(error)})
        top = head(error.status, len(body), "application/json", "Connection: close\r\n")
        self._transport.write(top + body)
        self._end()
