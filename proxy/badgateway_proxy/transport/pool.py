"""Connections to endpoints: opened within a deadline, kept idle for a while, handed out again.

Transport only. Idle connections that the peer closes are dropped at once; what cannot be known is a FIN still
on its way (the keep-alive race), which the exchange reports as such.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.policies.balancer import Endpoint
from badgateway_proxy.policies.near_addresses import is_near
from badgateway_proxy.transport.driving import in_task
from badgateway_proxy.transport.repeated import Repeated
from badgateway_proxy.transport.resolving import Resolver, SystemResolver
from badgateway_proxy.transport.response_reader import ResponseHead, ResponseLimits
from badgateway_proxy.transport.tls_diagnosis import diagnose_tls
from badgateway_proxy.transport.tls_stream import HandshakeCutOffError, TlsStream
from badgateway_proxy.transport.upstream_connection import UpstreamConnection


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many idle connections are kept for each endpoint, for how long (seconds), and to which addresses.

    ``total``: beyond so many connections, idle ones are closed before others are opened; None for no such limit.
    """

    idle: int
    idle_for: float
    allow_public: bool
    total: int | None = None


@dataclass(frozen=True, slots=True)
class TlsClient:
    """How TLS is spoken to endpoints. ``server_name``: asked for, and expected, instead of their hosts."""

    context: ssl.SSLContext
    server_name: str | None


class Pool:
    """Keep-alive connections by endpoint."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: PoolLimits, response: ResponseLimits) -> None:
        self._loop = loop
        self._limits = limits
        self._response = response
        self._tls: TlsClient | None = None
        #: Looks up names; `resolve_by` sets it.
        self.resolver: Resolver = SystemResolver(loop)
        self._idle: dict[str, deque[UpstreamConnection]] = {}  # by the endpoint's address: see `_key`
        self._all: set[UpstreamConnection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._repeated: Repeated[ResponseHead] = Repeated()

    def configure(self, limits: PoolLimits, response: ResponseLimits) -> None:
        """Use new limits from now on; connections opened under others are not kept."""
        if (limits, response) != (self._limits, self._response):
            self.close_idle()
            self._limits, self._response = limits, response
            self._repeated = Repeated()

    def speak_tls(self, tls: TlsClient | None) -> None:
        """Speak TLS like this from now on, to the endpoints that it is spoken to; what nobody uses is closed."""
        self.close_idle()
        self._tls = tls

    def resolve_by(self, resolver: Resolver) -> None:
        """Look up names by this from now on. What is connected stays so, whatever the names mean by now."""
        self.resolver = resolver

    def idle_connection(self, endpoint: Endpoint, now: float) -> UpstreamConnection | None:
        """The idle connection used last (the likeliest to be alive), or None. `now` is the loop's time in seconds."""
        idle = self._idle.get(_key(endpoint) if endpoint.tls else endpoint.text)
        while idle:
            connection = idle.pop()
            if connection.closed:
                continue
            if now - connection.idle_since > self._limits.idle_for:
                connection.close()
                continue
            return connection
        return None

    async def connect(self, endpoint: Endpoint, deadline: float) -> UpstreamConnection:
        """Open a connection.

        Args:
            endpoint: where to.
            deadline: absolute time of the loop's clock, in seconds.

        Raises:
            HopError: dns_error, dns_timeout, destination_ip_prohibited, destination_ip_unroutable,
                connection_refused, connection_timeout, proxy_internal_error (out of descriptors); and where TLS is
                spoken, tls_protocol_error, tls_certificate_error, tls_alert_received.
        """
        late = _Late(ErrorType.DNS_TIMEOUT, f"no answer from DNS to {endpoint.text} in time")
        await in_task()
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._addresses(endpoint)
                late.means(ErrorType.CONNECTION_TIMEOUT, f"no connection to {endpoint.text} in time")
                return await self._connect(addresses, endpoint, late)
        except TimeoutError as error:
            raise HopError(late.kind, late.details, phase=Phase.CONNECT) from error
        except OSError as error:
            raise _connect_error(endpoint, error) from error

    async def _connect(
        self, addresses: Sequence[tuple[str, int]], endpoint: Endpoint, late: "_Late"
    ) -> UpstreamConnection:
        """Try the addresses one after the other. Raises the last one's OSError, or why TLS with it failed."""
        *first, last = addresses
        for address, family in first:
            with contextlib.suppress(OSError, HopError):
                return await self._open(address, family, endpoint, late)
        return await self._open(*last, endpoint, late)

    def _make_room(self, total: int) -> None:
        """Close idle connections, those used least recently first, until one more is no more than ``total``."""
        living = sum(not connection.closed for connection in self._all)
        idle = sorted((c for line in self._idle.values() for c in line if not c.closed), key=lambda c: c.idle_since)
        for connection in idle[: max(0, living + 1 - total)]:
            connection.close()

    async def _open(self, address: str, family: int, endpoint: Endpoint, late: "_Late") -> UpstreamConnection:
        if self._limits.total is not None:
            self._make_room(self._limits.total)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self._reach(sock, (address, endpoint.port))
        except BaseException:
            sock.close()
            raise
        if endpoint.tls:
            late.means(ErrorType.CONNECTION_TIMEOUT, f"the TLS handshake with {endpoint.text} was not over in time")
            connection = await self._shake_hands(sock, endpoint)
        else:
            _, connection = await self._loop.create_connection(self._make, sock=sock)
        if not connection.closed:  # it may have been reset at once
            self._all.add(connection)
        return connection

    async def _shake_hands(self, sock: socket.socket, endpoint: Endpoint) -> UpstreamConnection:
        """Speak TLS over a connected socket.

        Raises:
            HopError: tls_protocol_error, tls_certificate_error, tls_alert_received.
            OSError: the connection ended.
        """
        assert self._tls is not None
        name = self._tls.server_name or endpoint.host
        connection = self._make()
        stream = TlsStream(self._loop, self._tls.context, connection, server_hostname=name)
        await self._loop.create_connection(lambda: stream, sock=sock)
        try:
            await stream.handshake
        except ssl.SSLError as error:
            failure = diagnose_tls(error, stream.first_bytes, name)
            raise HopError(
                failure.error,
                failure.details,
                phase=Phase.CONNECT,
                first_bytes=stream.first_bytes[: self._response.first_bytes],
                parameters=failure.parameters,
            ) from error
        except BaseException:
            stream.abort()
            raise
        return connection

    async def _reach(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """Connect; at once where the peer is on this machine, which is what 2,000 clients that come at once need."""
        state = sock.connect_ex(address)
        if state in _UNDER_WAY:
            state = sock.connect_ex(address)  # on loopback the peer's kernel, this one, has answered by now
        if state in _UNDER_WAY:
            await self._loop.sock_connect(sock, address)
        elif state not in _CONNECTED:
            raise OSError(state, os.strerror(state))

    def _make(self) -> UpstreamConnection:
        return UpstreamConnection(self._loop, self._response, self._lost, self._repeated)

    async def _addresses(self, endpoint: Endpoint) -> Sequence[tuple[str, int]]:
        """Where an endpoint may be reached: (address, family), in the resolver's order."""
        if endpoint.host in _LOOPBACK:
            return _LOOPBACK[endpoint.host]
        addresses = await self.resolver.addresses(endpoint.host)
        allowed = [each for each in addresses if self._limits.allow_public or is_near(each[0])]
        if not allowed:
            details = f"{addresses[0][0]} is neither loopback nor private"
            raise HopError(ErrorType.DESTINATION_IP_PROHIBITED, details, phase=Phase.CONNECT)
        return allowed

    def give_back(self, connection: UpstreamConnection, endpoint: Endpoint, now: float) -> None:
        """Keep a connection for the next request if it may serve one, else close it. `now`: the loop's time."""
        reusable = connection.reusable
        connection.release()
        key = _key(endpoint) if endpoint.tls else endpoint.text
        idle = self._idle.get(key)
        if idle is None:
            idle = self._idle[key] = deque()
        if not reusable or len(idle) >= self._limits.idle or connection.limits is not self._response:
            connection.close()
            return
        connection.idle_since = now
        idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._limits.idle_for, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long, and look again when the next one will have been."""
        self._sweeper = None
        now, idle_for = time.monotonic(), self._limits.idle_for
        for address, idle in tuple(self._idle.items()):
            while idle and (idle[0].closed or now - idle[0].idle_since >= idle_for):
                idle.popleft().close()  # those used last are at the other end
            if not idle:
                del self._idle[address]
        if self._idle:
            oldest = min(idle[0].idle_since for idle in self._idle.values())
            self._sweeper = self._loop.call_later(oldest + idle_for - now, self._sweep)

    def _lost(self, connection: UpstreamConnection) -> None:
        self._all.discard(connection)

    def close_idle(self) -> None:
        """Close what nobody uses."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def close(self) -> None:
        """Close every connection, also those in use."""
        self.close_idle()
        for connection in tuple(self._all):
            connection.close()

    def counts(self, endpoint: Endpoint) -> int:
        """How many idle, living connections there are to an endpoint."""
        return sum(not connection.closed for connection in self._idle.get(_key(endpoint), ()))

    @property
    def open(self) -> int:
        """How many connections there are, in use and idle."""
        return len(self._all)


class _Late:
    """What it means if the deadline passes now; told anew as connecting gets on."""

    __slots__ = ("details", "kind")

    def __init__(self, kind: ErrorType, details: str) -> None:
        self.kind, self.details = kind, details

    means = __init__


def _key(endpoint: Endpoint) -> str:
    """An endpoint's connections in the pool: one port may be spoken to with TLS and without."""
    return f"https://{endpoint.text}" if endpoint.tls else endpoint.text


_UNDER_WAY = frozenset((errno.EINPROGRESS, errno.EALREADY))
_CONNECTED = frozenset((0, errno.EISCONN))

_LOOPBACK = {"127.0.0.1": [("127.0.0.1", socket.AF_INET)], "::1": [("::1", socket.AF_INET6)]}


_UNROUTABLE = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM))
#: EADDRNOTAVAIL: no local port is left.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))


def _connect_error(endpoint: Endpoint, error: OSError) -> HopError:
    if error.errno in _EXHAUSTED:
        kind, details = ErrorType.PROXY_INTERNAL_ERROR, f"cannot open a socket: {error.strerror}"
    elif error.errno in _UNROUTABLE:
        kind, details = ErrorType.DESTINATION_IP_UNROUTABLE, f"{endpoint.text}: {error.strerror}"
    elif error.errno == errno.ETIMEDOUT:
        kind, details = ErrorType.CONNECTION_TIMEOUT, f"{endpoint.text}: {error.strerror}"
    elif isinstance(error, HandshakeCutOffError):
        kind, details = ErrorType.CONNECTION_TERMINATED, f"{endpoint.text} closed the connection in the TLS handshake"
    elif error.errno in (errno.ECONNRESET, errno.EPIPE):
        kind, details = ErrorType.CONNECTION_TERMINATED, f"{endpoint.text} reset the connection as it opened"
    else:
        kind, details = ErrorType.CONNECTION_REFUSED, f"connect to {endpoint.text} refused"
    return HopError(kind, details, phase=Phase.CONNECT)
