"""After a 101: bytes both ways, unread and unchanged, each side slowed to the other's pace (RFC 9110 section 7.8)."""

import asyncio

from badgateway_proxy.transport.client_connection import ClientConnection
from badgateway_proxy.transport.upstream_connection import HIGH_WATER, UpstreamConnection


class Tunnel:
    """Joins a client's connection and an endpoint's until either ends or both are silent for too long.

    Args:
        client: the connection that asked to upgrade.
        upstream: the connection on which the endpoint agreed.
        idle: seconds of silence in both directions after which the tunnel ends.
    """

    def __init__(self, client: ClientConnection, upstream: UpstreamConnection, idle: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._client, self._upstream = client, upstream
        self._idle = idle
        self._last = self._loop.time()
        self._ended = asyncio.Event()
        self.to_client_bytes = 0
        self.to_upstream_bytes = 0

    async def run(self) -> None:
        """Relay until the end. The endpoint's connection is closed behind what was sent; the client's is the caller's.

        Raises:
            HopError: the endpoint left between its 101 and now.
        """
        assert self._client.transport is not None
        self._client_transport = self._client.transport
        self._upstream_transport, first = self._upstream.become_tunnel(self._from_upstream)
        try:
            if first:
                self._from_upstream(first)
            self._client.become_tunnel(self._from_client)
            await self._until_ended()
        finally:
            self._upstream.close_behind(self._idle)

    async def _until_ended(self) -> None:
        while not self._ended.is_set():
            remaining = self._last + self._idle - self._loop.time()
            if remaining <= 0:
                return
            try:
                async with asyncio.timeout(remaining):
                    await self._ended.wait()
            except TimeoutError:
                continue

    def _from_client(self, data: bytes) -> None:
        self.to_upstream_bytes += len(data)
        self._relay(data, self._client_transport, self._upstream_transport)

    def _from_upstream(self, data: bytes) -> None:
        self.to_client_bytes += len(data)
        self._relay(data, self._upstream_transport, self._client_transport)

    def _relay(self, data: bytes, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        if not data:
            self._ended.set()
            return
        self._last = self._loop.time()
        sink.write(data)
        if sink.get_write_buffer_size() > HIGH_WATER:
            source.pause_reading()
            self._resume_when_drained(source, sink)

    def _resume_when_drained(self, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        # Both transports' flow-control callbacks belong to HTTP; a full pipe is rare enough to look again.
        if self._ended.is_set() or source.is_closing() or sink.is_closing():
            return
        if sink.get_write_buffer_size() > HIGH_WATER // 2:
            self._loop.call_later(0.005, self._resume_when_drained, source, sink)
            return
        if not source.is_reading():
            source.resume_reading()
