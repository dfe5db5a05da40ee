"""Servers that send exactly the bytes a test says, and a lab that is made of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from badgateway.chain.traces import Trace, join

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; `bytes` is its head and what came with it."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Scripted:
    """A running server. `heads` are the requests, `connections` the count of connections."""

    url: str
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def scripted(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Serve each request with `handler` (requests without a body), keeping the connection until it closes it.

    With `tls`, over that.
    """
    server_side = Scripted("")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_side.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                server_side.heads.append(head)
                await handler(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()[:2]
    server_side.url = f"{'http' if tls is None else 'https'}://{host}:{port}"
    try:
        yield server_side
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def sends(*parts: bytes, close: bool = False, reset: bool = False) -> Handler:
    """A handler that sends these parts, each in a packet of its own, then keeps, closes or resets."""

    async def handler(head: bytes, writer: asyncio.StreamWriter) -> None:
        del head
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif close:
            writer.close()

    return handler


def request_id_of(head: bytes) -> str:
    """The X-Request-ID of a request's head."""
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "x-request-id":
            return value.strip()
    return ""


@dataclass
class FakeFault:
    """A fault of the fake lab."""

    id: str
    target: str
    kind: str
    fired: int = 0


@dataclass
class FakeLab:
    """A lab whose hop is one scripted server. It notes what is done to it, and keeps the records a test gives it.

    `answer(path)` returns the response; `record(path)` what the lb's exchange record says beside the request id.
    """

    urls: Mapping[str, str] = field(default_factory=dict)
    hops: Sequence[str] = ("cdn", "lb")
    instances: Sequence[str] = ("app-1",)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    set_faults: list[FakeFault] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    fires: bool = True
    closed: bool = False
    refuse: Exception | None = None

    async def close(self) -> None:
        self.closed = True

    async def set_fault(self, target: str, spec: Mapping[str, object]) -> FakeFault:
        self._call("set_fault", target, dict(spec))
        fault = FakeFault(f"f-{len(self.set_faults) + 1}", target, str(spec["kind"]), int(self.fires))
        self.set_faults.append(fault)
        return fault

    async def clear_fault(self, id: str) -> None:
        self._call("clear_fault", id)

    async def clear_faults(self) -> None:
        self._call("clear_faults")

    async def faults(self) -> list[FakeFault]:
        return self.set_faults

    async def restart(self, target: str) -> list[str]:
        self._call("restart", target)
        return []

    async def stop(self, target: str) -> None:
        self._call("stop", target)

    async def deploy(self, target: str, settings: Mapping[str, object], *, may_not_start: bool = False) -> None:
        self._call("deploy", target, dict(settings), may_not_start)

    async def patch(self, hop: str, patch: Mapping[str, object]) -> Mapping[str, Any]:
        self._call("patch", hop, dict(patch))
        return {}

    async def breaker(self, hop: str, action: str) -> Mapping[str, Any]:
        self._call("breaker", hop, action)
        return {}

    async def purge(self, hop: str, what: Mapping[str, Any]) -> int:
        self._call("purge", hop, dict(what))
        return 0

    async def advance(self, seconds: float) -> None:
        self._call("advance", seconds)

    async def state(self, name: str) -> Mapping[str, Any]:
        return self.states[name]

    async def exchanges(self, *, request_id: str | None = None, limit: int = 100) -> list[Trace]:
        mine = [record for record in self.records if request_id in (None, record["request_id"])]
        return join(self.hops, mine, [], [], {})[-limit:]

    def _call(self, *call: Any) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.calls.append(call)


def exchange(hop: str, head: bytes, **more: Any) -> dict[str, Any]:
    """An exchange record as a hop writes it, for one request with one attempt that got through."""
    attempt = {"endpoint": "127.0.0.1:1", "local": None, "phase": "receive", "status": 200, "first_bytes": None}
    return {
        "hop": hop,
        "request_id": request_id_of(head),
        "started": 0.0,
        "duration": 0.0,
        "status": 200,
        "generated": False,
        "error": None,
        "truncated": False,
        "client_gone": False,
        "attempts": [attempt],
        "proxy_status": hop,
        **more,
    }
