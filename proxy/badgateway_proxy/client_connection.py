"""The listening side: aiohttp's low-level server, with the parts of its protocol that a gateway must own.

aiohttp parses requests and keeps connections. Owned here: the deadline for a request's head (408), the answer to
what cannot be parsed (aiohttp's own is a 400 over HTTP/1.0 with a logged traceback), and raw bytes after an upgrade.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from badgateway_proxy.client_faults import client_error, unparsable
from badgateway_proxy.errors import HopError
from badgateway_proxy.upstream_connection import HIGH_WATER

#: How much of an unfinished head is kept to say what was wrong with it, in bytes.
_HEAD_START = 512


class Answered(web.StreamResponse):
    """Tells aiohttp that the response was already written to the transport.

    The exchange writes heads and bodies itself: as received, in order, and cut short where the endpoint cut
    them short. aiohttp then only needs to know whether the connection goes on.
    """

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing to prepare."""

    async def write_eof(self, data: Any = b"") -> None:
        """Nothing left to write."""


KEEP_ALIVE = Answered(keep_alive=True)
CLOSE = Answered(keep_alive=False)


class Refusals(Protocol):
    """Who answers requests that never became one."""

    client_head_timeout: float
    max_connections: int

    async def refuse(self, request: web.BaseRequest, error: HopError) -> web.StreamResponse:
        """Answer a request that could not be parsed."""

    def refuse_unread(self, transport: asyncio.Transport, error: HopError) -> None:
        """Answer a request whose head never came."""


class ClientConnection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_gateway", "_head_start", "_head_timer", "_tunnel", "address", "host")

    def __init__(self, server: "GatewayServer", gateway: Refusals, **options: Any) -> None:
        super().__init__(server, **options)
        self._gateway = gateway
        self._head_start = b""
        self._head_timer: asyncio.TimerHandle | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        #: The client's IP address, and with its port as `host:port`.
        self.host = self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        transport.max_size = HIGH_WATER  # type: ignore[attr-defined]  # see UpstreamConnection.connection_made
        self.address = address_text(self.peername)
        self.host = self.address.rpartition(":")[0].strip("[]")
        manager = self._manager
        if manager is not None and len(manager.connections) > self._gateway.max_connections:
            self._gateway.refuse_unread(transport, client_error(503, "too many client connections"))
            self.force_close()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel(data)
            return
        awaiting_head = self._current_request is None and not self._messages
        if awaiting_head and len(self._head_start) < _HEAD_START:
            self._head_start += data[:_HEAD_START]
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._head_arrived()
        elif awaiting_head and data and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._gateway.client_head_timeout, self._head_overdue)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        message = self._messages[-1][0] if self._messages else None
        if not isinstance(message, _ErrInfo):
            self._head_start = b""
        elif self._current_request is not None:
            # llhttp gave up in the body of the request being served, whose reader would wait for ever.
            payload = self._current_request.content
            payload.set_exception(unparsable(message.exc, b""))

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self.transport is not None and self._current_request is None:
            seconds = self._gateway.client_head_timeout
            error = client_error(408, f"the request's head was not complete within {seconds:g} s")
            self._gateway.refuse_unread(self.transport, error)
            self.force_close()

    def _make_error_handler(self, err_info: _ErrInfo) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        error = unparsable(err_info.exc, self._head_start)

        async def refuse(request: web.BaseRequest) -> web.StreamResponse:
            return await self._gateway.refuse(request, error)

        return refuse

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._tunnel is not None:
            self._tunnel(b"")
        super().connection_lost(exc)

    def become_tunnel(self, receive: Callable[[bytes], None]) -> None:
        """Hand every later byte to `receive` (`b""` at the end), first those that came too early."""
        self._tunnel = receive
        early, self._message_tail = self._message_tail, b""
        if early:
            receive(early)


class GatewayServer(web.Server):
    """aiohttp's low-level server, making our kind of connection."""

    def __init__(self, handler: Any, gateway: Refusals, **options: Any) -> None:
        super().__init__(handler, handler_cancellation=True, **options)
        self._gateway = gateway

    def __call__(self) -> RequestHandler:
        return ClientConnection(self, self._gateway, loop=self._loop, **self._kwargs)


def address_text(peer: Any) -> str:
    """A socket's address as `host:port`, `[host]:port` for IPv6; empty for none."""
    if not isinstance(peer, tuple):
        return ""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
