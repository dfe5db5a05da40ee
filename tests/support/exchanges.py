"""What tests of whole exchanges share: endpoints by script, requests, and what became of them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from tests.support.answers import Answer, read_answer
from tests.support.peers import Script
from tests.support.wire import RawUpstream, RunningHop, raw_upstream

NOW = {"base": "0s", "max": "0s"}


class Scripts:
    """Several endpoints, each with a script; how often each was connected to."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.upstreams: list[RawUpstream] = []

    async def __aenter__(self) -> Scripts:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stack.aclose()

    async def add(self, *scripts: Script) -> list[str]:
        for script in scripts:
            self.upstreams.append(await self.stack.enter_async_context(raw_upstream(script)))
        return [upstream.address for upstream in self.upstreams]

    @property
    def connections(self) -> list[int]:
        return [upstream.connections for upstream in self.upstreams]


async def asked(hop: RunningHop, request: bytes | None = None) -> Answer:
    return read_answer(await hop.get() if request is None else await hop.send(request))


def post(body: bytes = b"hello") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def status(code: int, *lines: str) -> bytes:
    head = [f"HTTP/1.1 {code} X", "Content-Length: 4", *lines, "", "oops"]
    return "\r\n".join(head).encode()


async def until_gone(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the head, then stay silent until the hop hangs up, and note that it did."""
    await upstream.read_head(reader)
    try:
        while await reader.read(65536):
            pass
    finally:
        upstream.heads.append(b"gone")


def breaker_of(hop: RunningHop) -> dict[str, Any]:
    return hop.hop.breaker.snapshot(hop.hop.clock.now())
