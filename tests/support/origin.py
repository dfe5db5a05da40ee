"""An origin that answers with what it is given, one response a request; and a hop with a cache before it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.answers import Answer, read_answer
from tests.support.peers import field as field_of
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop

Parts = tuple[bytes | asyncio.Event, ...]


def made(*fields: str, body: bytes = b"body", status: str = "200 OK") -> bytes:
    """A response with these fields (`Cache-Control: max-age=60`) and a Content-Length.

    It has no Date, so that it is new when it comes, however slow the machine.
    """
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def not_modified(*fields: str) -> bytes:
    """A 304 with these fields."""
    head = ["HTTP/1.1 304 Not Modified", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


@dataclass
class Origin:
    """Each request gets the next of `responses`, the last of them again and again. `requests` are the heads it saw.

    A response is bytes, or several: written one after the other, waiting where one is an event. `b""` at its end closes
    the connection.
    """

    responses: list[bytes | Parts]
    requests: list[bytes] = field(default_factory=list)
    written: int = 0
    """How many parts the kernel took."""

    async def serve(self, upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del upstream
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = field_of(head, b"content-length")
            if length is not None:
                await reader.readexactly(int(length))
            self.requests.append(head)
            response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
            for part in (response,) if isinstance(response, bytes) else response:
                if isinstance(part, asyncio.Event):
                    await part.wait()
                elif part:
                    writer.write(part)
                    await writer.drain()
                    self.written += 1
                else:
                    return

    def asked(self, name: str, number: int = -1) -> bytes | None:
        """A field of one of the requests that it saw."""
        return field_of(self.requests[number], name.lower().encode())


@dataclass
class CachedOrigin:
    """A hop with a cache, and what is behind it."""

    origin: Origin
    hop: RunningHop

    async def get(self, path: str = "/", *headers: str, method: str = "GET") -> Answer:
        """One request, on a connection of its own, and its answer."""
        return read_answer(await self.hop.get(path, *headers, method=method))

    def advance(self, seconds: float) -> None:
        """Let the hop's clock run ahead."""
        self.hop.hop.clock.advance(seconds)

    @property
    def stored(self) -> int:
        """How many responses are stored."""
        assert self.hop.hop.cache is not None
        return len(self.hop.hop.cache.store)


@asynccontextmanager
async def cached(
    *responses: bytes | Parts, cache: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[CachedOrigin]:
    """Run a hop named cdn, with a cache of these settings, before an origin that gives these responses."""
    origin = Origin(list(responses))
    chosen = {"name": "cdn", "tier": "cdn", "cache": {"enabled": True, **(cache or {})}, **settings}
    async with raw_upstream(origin.serve) as upstream, running_hop(upstream.address, **chosen) as hop:
        yield CachedOrigin(origin, hop)


def age(answer: Answer) -> int:
    """What its Age says."""
    return int(answer.one("Age") or b"-1")


def ttl(answer: Answer) -> int:
    """For how many seconds it is fresh, as the cdn's own member of Cache-Status says."""
    (found,) = re.findall(rb"; ttl=(-?[0-9]+)", answer.all("Cache-Status")[-1])
    return int(found)


def how(answer: Answer) -> str:
    """What the cdn's own member of Cache-Status says: `hit`, or why it went on, with `collapsed` where it is there."""
    member = answer.all("Cache-Status")[-1].decode()
    name, _, rest = member.partition("; ")
    assert name == "cdn"
    words = rest.split("; ")
    return " ".join(word for word in words if word in {"hit", "collapsed"} or word.startswith(("fwd=", "detail=")))
