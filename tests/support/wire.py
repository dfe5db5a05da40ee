"""Raw sockets on both sides of a hop: tests write and read bytes, never a client's idea of them."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from badgateway_proxy.configuration.config import HopConfig
from badgateway_proxy.hop import Hop
from badgateway_proxy.process.serve import connection_factory, gateway_server
from badgateway_proxy.transport.gateway_server import GatewayServer
from tests.support.processes import until
from tests.support.rawclient import RawClient, raw_client


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
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawUpstream]:
    """Run `script` for each connection (over TLS, if there is a context); it is closed when the script ends."""
    upstream = RawUpstream()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        upstream.connections += 1
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(upstream, reader, writer)
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class RunningHop:
    """A hop in this process, listening on a free port."""

    hop: Hop
    port: int
    server: GatewayServer
    complaints: list[str]
    """What was logged meanwhile, warnings and worse; a test that expects some takes them out."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self) -> AbstractAsyncContextManager[RawClient]:
        """A connection to the hop."""
        return raw_client(self.address)

    async def send(self, request: bytes, *, timeout: float = 10.0) -> bytes:
        """Send these bytes on a connection of their own and return everything until the hop closes."""
        async with raw_client(self.address, deadline=timeout) as client:
            with contextlib.suppress(ConnectionError):
                await client.send(request)
            return await client.all()

    async def get(self, path: str = "/", *headers: str, method: str = "GET") -> bytes:
        """One request that asks the hop to close behind its answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: example", "Connection: close", *headers]
        return await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def records(self, count: int) -> list[dict[str, Any]]:
        """The records of all exchanges that there were, as soon as there are `count`; no more may be there."""
        recorder = self.hop.recorder
        await until(lambda: len(recorder.query(limit=count)) == count, what=f"{count} records")
        records = recorder.query(limit=count + 1)
        assert len(records) == count
        return [record.as_dict() for record in records]

    async def record(self) -> dict[str, Any]:
        """The one exchange that there was, once it is over."""
        (record,) = await self.records(1)
        return record


@asynccontextmanager
async def running_hop(*upstreams: str, **settings: Any) -> AsyncIterator[RunningHop]:
    """Run a hop before these upstreams; fail if it leaves anything behind: a task, a connection, a complaint."""
    config = HopConfig.model_validate({"name": "lb", "tier": "lb", "upstreams": upstreams, **settings})
    hop = Hop(config, seed=1)
    server = gateway_server(hop)
    listener = await asyncio.get_running_loop().create_server(connection_factory(hop, server), "127.0.0.1", 0)
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    try:
        yield RunningHop(hop, listener.sockets[0].getsockname()[1], server, complaints.lines)
        await until(lambda: not hop.in_flight, what="no request in flight")
    finally:
        listener.close()
        await server.shutdown(0.1)
        hop.close()
        logging.getLogger().removeHandler(complaints)
    await until(lambda: not hop.pool.open, what="no connection to an endpoint left")
    await until(lambda: not _tasks_of_hops(), what="no task of the hop left")
    assert not complaints.lines, "\n".join(complaints.lines)


class Complaints(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def _tasks_of_hops() -> list[asyncio.Task[Any]]:
    def is_ours(task: asyncio.Task[Any]) -> bool:
        code = getattr(task.get_coro(), "cr_code", None)
        return code is not None and ("badgateway_proxy" in code.co_filename or "aiohttp" in code.co_filename)

    return [task for task in asyncio.all_tasks() if is_ours(task)]
