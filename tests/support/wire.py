"""Raw sockets on both sides of a hop: tests write and read bytes, never a client's idea of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from badgateway_proxy.client_connection import GatewayServer
from badgateway_proxy.config import HopConfig
from badgateway_proxy.hop import Hop
from badgateway_proxy.serve import gateway_server

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawUpstream:
    """A server that does to each connection what the test says; `heads` are the request heads it read."""

    port: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def read_head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head


@asynccontextmanager
async def raw_upstream(
    script: Callable[[RawUpstream, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[RawUpstream]:
    """Run `script` for each connection; it is closed when the script ends."""
    upstream = RawUpstream()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        upstream.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(upstream, reader, writer)
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answers(*responses: bytes, then: str = "close") -> Any:
    """A script: read a head, send these bytes (each in a packet of its own), then close, hang or serve the next request."""

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await upstream.read_head(reader)
            for response in responses:
                writer.write(response)
                await writer.drain()
                await asyncio.sleep(0.01)  # a packet of its own
            if then == "hang":
                await asyncio.Event().wait()
            if then == "close":
                return

    return script


@dataclass
class RunningHop:
    """A hop in this process, listening on a free port."""

    hop: Hop
    port: int
    server: GatewayServer

    async def send(self, request: bytes, *, timeout: float = 10.0) -> bytes:
        """Send these bytes on a connection of their own and return everything until the hop closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(timeout):
                return await reader.read()
        finally:
            writer.close()

    async def get(self, path: str = "/", *headers: str, method: str = "GET") -> bytes:
        """One request that asks the hop to close behind its answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: example", "Connection: close", *headers]
        return await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def record(self) -> dict[str, Any]:
        """The one exchange that there was, once it is over."""
        async with asyncio.timeout(5):
            while not (records := self.hop.recorder.query()):
                await asyncio.sleep(0.002)
        assert len(records) == 1
        return records[0].as_dict()


@asynccontextmanager
async def running_hop(*upstreams: str, **settings: Any) -> AsyncIterator[RunningHop]:
    """Run a hop before these upstreams."""
    config = HopConfig.model_validate({"name": "lb", "tier": "lb", "upstreams": upstreams, **settings})
    hop = Hop(config, seed=1)
    server = gateway_server(hop)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield RunningHop(hop, listener.sockets[0].getsockname()[1], server)
    finally:
        listener.close()
        await server.shutdown(0.1)
        hop.pool.close()
        await asyncio.sleep(0)
