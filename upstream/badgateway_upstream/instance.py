"""One running instance: listener, app, faults and control API put together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import sqlite3
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from aiohttp import web

from badgateway_upstream.app.databasetrouble import DatabaseTrouble
from badgateway_upstream.app.environment import provide
from badgateway_upstream.app.handling import Equipment
from badgateway_upstream.app.relay import Relay
from badgateway_upstream.app.shop import Shop
from badgateway_upstream.app.storage import Storage
from badgateway_upstream.app.store import Store
from badgateway_upstream.app.workers import Workers
from badgateway_upstream.clock import Clock
from badgateway_upstream.config import InstanceConfig
from badgateway_upstream.control import api as control
from badgateway_upstream.dns.nameserver import NameAnswer, NameServer
from badgateway_upstream.engine.activefault import ActiveFault, Exchange, OneTime
from badgateway_upstream.engine.book import Book, Limits, RefusedError
from badgateway_upstream.engine.process import ThisProcess
from badgateway_upstream.engine.registry import FAULTS, FaultSpec, FaultType, Handshake, Lookup, Process
from badgateway_upstream.engine.schedule import Occasion
from badgateway_upstream.portowner import owner_of
from badgateway_upstream.service import App
from badgateway_upstream.wire.certificates import Certificates
from badgateway_upstream.wire.connection import Connection
from badgateway_upstream.wire.listener import Listener
from badgateway_upstream.wire.requests import Request
from badgateway_upstream.wire.tls_stream import TlsStream

_LOG: Final = logging.getLogger("badgateway_upstream.instance")
_REPLY_FIRST: Final = 0.02
"""Seconds between the reply to whoever set a process fault and its effect, so that the reply gets out."""
_SWEEP: Final = 5.0
_CONTROL_BACKLOG: Final = 128
_LONGEST_TARGET: Final = 2048
_LONGEST_ID: Final = 256


class PortTakenError(Exception):
    """An address that cannot be listened on, and whose it is."""


class Instance:
    """An instance inside the running event loop. Its process faults hit the process it runs in."""

    def __init__(self, config: InstanceConfig, emit: Callable[[dict[str, Any]], None], token: str) -> None:
        self.config = config
        self.name = config.name
        self._emit = emit
        self._token = token
        self._clock = Clock()
        self._loop = asyncio.get_running_loop()
        limits = Limits(config.default_fault_duration, config.max_fault_duration, config.files)
        self.book = Book(self.name, self._clock, limits, emit, self._end_process_fault, records=config.records)
        self._listener = Listener(config.listen.host, config.listen.port, config.backlog, self._protocol)
        self._certificates: Certificates | None = None
        self.dns: NameServer | None = None
        self._storage = Storage()
        self.process = ThisProcess(self._listener, self._storage, self._connections_without_request)
        self.equipment: Equipment
        self._store: Store | None = None
        self.app: App
        self._connections: set[Connection] = set()
        self._ring: deque[Exchange] = deque(maxlen=config.records)
        self._all_closed = asyncio.Event()
        self._count = 0
        self._started = time.time()
        self._runner: web.AppRunner | None = None
        self._control: Listener | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self.admin = ""

    @property
    def listen(self) -> str:
        """Where it listens, ``host:port``."""
        return self._listener.address

    @property
    def worker_timeout(self) -> float | None:
        """See `connection.Service`."""
        return self.config.worker_timeout

    def _protocol(self) -> asyncio.Protocol:
        connection = Connection(self)
        return connection if self._certificates is None else TlsStream(connection)

    async def start(self) -> None:
        """Listen. Raises PortTakenError, AuthorityError, MissingVariableError, sqlite3.Error, OSError."""
        config = self.config
        provide(config.environment, check=config.check_environment)
        if config.tls:
            names = (config.listen.host, "localhost", self.name, *config.server_names)
            self._certificates = Certificates(config.authority, names)
        self._store = Store(config.database, config.lock_timeout) if config.backend is None else None
        self.process.database = None if self._store is None else DatabaseTrouble(self._store)
        self.equipment = Equipment(
            Workers(config.workers),
            self._store,
            statement_timeout=config.statement_timeout,
            downstream_timeout=config.downstream_timeout,
        )
        self.app = self._healthy_app()
        app = control.build(self, self._token, config.admin.allowed_hosts)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        assert self._runner.server is not None
        self._control = Listener(
            config.admin.host, config.admin.port, _CONTROL_BACKLOG, self._runner.server, self.process.accept_control
        )
        with _port_taken(config.admin.host, config.admin.port):
            self._control.open()
        self.admin = self._control.address
        if config.dns is not None:
            host, port = config.dns.listen.host, config.dns.listen.port
            with _port_taken(host, port):
                self.dns = await NameServer.open(host, port, config.dns.records, self._looked_up)
        with _port_taken(config.listen.host, config.listen.port):
            self._listener.open()
        self._sweep()

    def _looked_up(self, name: str, true: NameAnswer, peer: str) -> NameAnswer:
        """What becomes of a DNS question."""
        acting = self.book.lookup(Occasion(self.name, path=name), peer)
        effect = None if acting is None else acting.fault.kind.effect
        if acting is None or not isinstance(effect, Lookup):
            return true
        acting.fire()
        return effect.answer(acting.fault.spec, true)

    def ready(self) -> None:
        """Set the configured faults and tell that it is ready. Raises RefusedError for a fault that cannot be set."""
        for spec in self.config.faults:
            self.set_fault(spec)
        self._emit(
            {
                "event": "ready",
                "name": self.name,
                "pid": os.getpid(),
                "listen": self.listen,
                "admin": self.admin,
            }
        )

    async def stop(self, drain: float = 0.0) -> None:
        """Stop accepting, let requests finish for at most ``drain`` seconds, close everything."""
        self._listener.close()
        self.book.clear()
        self._listener.close()  # a fault that just ended may have opened it again
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self.dns is not None:
            self.dns.close()
        await self._listener.settled()
        self._close_idle()
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        if tasks and drain:
            await asyncio.wait(tasks, timeout=drain)
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            self._all_closed.clear()
            await self._all_closed.wait()
        # What was being answered was cancelled with its connection; let that happen before the app is closed.
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._control is not None:
            self._control.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self.equipment.close()
        if self._store is not None:
            self._store.close()

    # connection.Service

    def opened(self, connection: Connection) -> None:
        """See `connection.Service`."""
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """See `connection.Service`."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def tls_for(self, handshake: OneTime | None) -> ssl.SSLContext | None:
        """See `connection.Service`."""
        assert self._certificates is not None
        effect = None if handshake is None else handshake.fault.kind.effect
        if handshake is None or not isinstance(effect, Handshake):
            return self._certificates.good
        handshake.fire()
        return effect.context(handshake.fault.spec, self._certificates)

    def began(self, request: Request, peer: str) -> Exchange:
        """See `connection.Service`."""
        self._count += 1
        exchange = Exchange(
            id=self._count,
            request_id=_shortened(request.header("x-request-id")),
            peer=peer,
            method=request.method,
            target=request.target[:_LONGEST_TARGET],
            started=time.time(),
        )
        self._ring.append(exchange)
        return exchange

    # control.Controlled

    def set_fault(self, spec: FaultSpec) -> ActiveFault:
        """See `control.Controlled`."""
        self._check_needs(FAULTS[spec.kind])
        fault = self.book.add(spec)
        instance = spec.when.instance
        if isinstance(fault.kind.effect, Process) and spec.when.at_once and instance in (None, self.name):
            self._loop.call_later(_REPLY_FIRST, self._begin_now, fault)
        return fault

    def _check_needs(self, kind: FaultType[Any]) -> None:
        if kind.needs == "tls" and self._certificates is None:
            raise RefusedError(409, f"{kind.name} happens in TLS, which {self.name} does not speak; start it with tls")
        if kind.needs == "dns" and self.dns is None:
            raise RefusedError(409, f"{kind.name} happens in a DNS server, which {self.name} is not; start it with dns")

    def advance(self, seconds: float) -> float:
        """See `control.Controlled`."""
        offset = self._clock.advance(seconds)
        self.book.sweep()
        return offset

    def state(self) -> dict[str, Any]:
        """See `control.Controlled`."""
        return {
            "name": self.name,
            "pid": os.getpid(),
            "listen": self.listen,
            "tls": self.config.tls,
            "uptime": round(time.time() - self._started, 3),
            "accepted": self._listener.accepted,
            "requests": self._count,
            "open": len(self._connections),
            "busy": sum(connection.task is not None for connection in self._connections),
            "workers": self.equipment.workers.state(),
            **self.process.state(),
            "faults": len(self.book),
            "clock_offset": self._clock.offset,
        }

    def exchanges(self) -> list[Exchange]:
        """See `control.Controlled`."""
        return list(self._ring)

    async def reset(self) -> None:
        """See `control.Controlled`."""
        self.book.clear()
        await self._restore_shop()
        self.book.firings.clear()
        self._ring.clear()
        self._count = 0
        self._listener.accepted = 0
        self._clock.reset()
        for spec in self.config.faults:
            self.set_fault(spec)

    # Inside

    async def _restore_shop(self) -> None:
        if self._store is None:
            return
        try:
            await self._store.restore()
        except sqlite3.Error as error:
            raise RefusedError(503, f"the shop's database cannot be put back to its first state: {error}") from error

    def _healthy_app(self) -> App:
        config = self.config
        if config.backend is not None:
            return Relay(self.name, config.backend, allow_public=config.allow_public)
        assert self._store is not None
        shown = config.environment if config.debug else None
        terms = config.terms_required
        return Shop(self.name, self._store, self._storage, self.equipment, shown, config.dav, terms_required=terms)

    def _begin_now(self, fault: ActiveFault) -> None:
        if not fault.ended.is_set():
            self.book.record(fault, None, None)
            self.book.begin(fault, self.process)

    def _end_process_fault(self, fault: ActiveFault) -> None:
        effect = fault.kind.effect
        if not isinstance(effect, Process) or effect.end is None:
            return
        effect.end(fault.spec, self.process)
        # Ending one may have undone another that still lasts.
        for other in self.book.faults():
            effect = other.kind.effect
            if other.begun and isinstance(effect, Process) and effect.end is not None:
                effect.begin(other.spec, self.process, other.left)

    def _connections_without_request(self) -> list[Connection]:
        return [connection for connection in self._connections if connection.idle]

    def _close_idle(self) -> None:
        for connection in self._connections_without_request():
            connection.close_if_idle()

    def _sweep(self) -> None:
        """Close connections that have been idle for too long."""
        before = self._loop.time() - self.config.keep_alive
        for connection in list(self._connections):
            if connection.last_active < before and connection.task is None:
                connection.abort()
        self._sweeping = self._loop.call_later(min(_SWEEP, self.config.keep_alive), self._sweep)


def _shortened(request_id: str | None) -> str | None:
    return None if request_id is None else request_id[:_LONGEST_ID]


@contextlib.contextmanager
def _port_taken(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        owner = owner_of(port) or "another process"
        raise PortTakenError(f"cannot listen on {host}:{port}: it is in use by {owner}") from error
