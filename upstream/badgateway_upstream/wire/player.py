"""Plays a wire script: what the steps say goes to a sink. It knows no sockets and no fault by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, assert_never

from badgateway_upstream.app import answers
from badgateway_upstream.app.answers import Answer
from badgateway_upstream.wire import steps
from badgateway_upstream.wire.payloads import PIECE, unescape
from badgateway_upstream.wire.sinks import Sink

_AnyStep = steps.Send | steps.Pause | steps.Drip | steps.Read | steps.Close | steps.Reset | steps.Hang | steps.Respond


class Patience(Protocol):
    """How long a script may wait: each method also returns once the fault has ended."""

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""

    async def forever(self) -> None:
        """Wait until the fault ends or the peer leaves."""

    async def body(self, count: int | None) -> None:
        """Wait until so many bytes of the request's body arrived; None: all of it."""


class AnswerInParts:
    """The app's true answer, made when it is first asked for and then sent part by part."""

    def __init__(self, make: Callable[[], Awaitable[Answer]], started: Callable[[Answer], None]) -> None:
        self._make = make
        self._started = started
        self._answer: Answer | None = None
        self._body: AsyncIterator[bytes] | None = None
        self._pending = b""
        self._sent = {"head": 0, "body": 0}

    @property
    def begun(self) -> bool:
        """Whether the app was asked."""
        return self._answer is not None

    @property
    def streamed(self) -> bool:
        """Whether the body is still arriving from somewhere, so that nobody should wait for more of it."""
        return self._answer is not None and not isinstance(self._answer.body, bytes)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on the connection, as far as the answer says."""
        return self._answer is None or self._answer.reusable

    async def close(self) -> None:
        """Let go of what is left of the answer."""
        body = self._body or (self._answer.body if self._answer is not None else None)
        if isinstance(body, AsyncGenerator):
            await body.aclose()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what was not sent yet, the head first; a head and a body in hand in one piece."""
        answer = await self._get(None, None)
        head = self._head(None)
        if isinstance(answer.body, bytes) and self._body is None:
            self._sent["body"], self._body = len(answer.body), _in_pieces(b"")
            yield head + answer.body
            return
        if head:
            yield head
        async for piece in self._rest(None):
            yield piece

    async def parts(self, how: steps.Answering, files: Path | None) -> AsyncIterator[bytes]:
        """Yield the bytes of the part that ``how`` names, from where the last call stopped."""
        answer = await self._get(how, files)
        length = answer.length
        if how.part == "all":
            total = None if length is None else len(answer.head) + length
            until = await self._resolve(how.to, total, len(answer.head))
            yield self._head(until)
            if until is None or until > len(answer.head):
                async for piece in self._rest(None if until is None else until - len(answer.head)):
                    yield piece
        elif how.part == "head":
            yield self._head(await self._resolve(how.to, len(answer.head), 0))
        else:
            async for piece in self._rest(await self._resolve(how.to, length, 0)):
                yield piece

    async def _get(self, how: steps.Answering | None, files: Path | None) -> Answer:
        if self._answer is None:
            answer = await self._make()
            self._answer = answer if how is None else changed(answer, how, files)
            self._started(self._answer)
        return self._answer

    def _head(self, until: int | None) -> bytes:
        assert self._answer is not None
        start = self._sent["head"]
        piece = self._answer.head[start:until]
        self._sent["head"] = start + len(piece)
        return piece

    async def _rest(self, until: int | None) -> AsyncIterator[bytes]:
        while until is None or self._sent["body"] < until:
            piece = await self._next()
            if not piece:
                return
            if until is not None:
                room = until - self._sent["body"]
                piece, self._pending = piece[:room], piece[room:]
            self._sent["body"] += len(piece)
            yield piece

    async def _next(self) -> bytes:
        if self._pending:
            piece, self._pending = self._pending, b""
            return piece
        if self._body is None:
            assert self._answer is not None
            body = self._answer.body
            self._body = _in_pieces(body) if isinstance(body, bytes) else body
        async for piece in self._body:
            if piece:
                return piece
        return b""

    async def _resolve(self, cut: int | str | None, total: int | None, head: int) -> int | None:
        if cut is None:
            return None
        if total is None and (isinstance(cut, str) or cut < 0):
            # The length is unknown: take the share of what comes first.
            self._pending = await self._next()
            total = head + self._sent["body"] + len(self._pending)
        if isinstance(cut, str):
            return (total or 0) * int(cut.removesuffix("%")) // 100
        return max(0, (total or 0) + cut) if cut < 0 else cut


def changed(answer: Answer, how: steps.Answering, files: Path | None = None) -> Answer:
    """Return the answer with the changes that ``how`` names."""
    if how.framing == "chunked":
        answer = answers.as_chunked(answer)
    elif how.framing == "close":
        answer = answers.ended_by_closing(answer)
    if how.status_line is not None:
        answer = answers.with_status_line(answer, unescape(how.status_line))
    if how.version is not None:
        answer = answers.with_version(answer, unescape(how.version))
    if how.header is not None:
        lines = bytearray()
        for piece in how.header.pieces(files):
            lines += piece
            if len(lines) > steps.LARGEST_HEADER:  # only a file can be: other sizes are known beforehand
                break
        answer = answers.with_header(answer, bytes(lines[: steps.LARGEST_HEADER]))
    return answer


class Player:
    """Plays one script once. ``answer`` is None where there is no request to answer."""

    def __init__(self, sink: Sink, patience: Patience, answer: AnswerInParts | None, files: Path | None = None) -> None:
        self._sink = sink
        self._patience = patience
        self._answer = answer
        self._files = files
        self._packet = bytearray()

    async def play(self, script: Sequence[steps.Step]) -> bool:
        """Play all steps; return whether the connection is still open after them."""
        for step in script:
            if isinstance(step, steps.Close):
                await self._flush()
                await self._sink.close()
                return False
            if isinstance(step, steps.Reset):
                await self._flush()
                await self._sink.reset()
                return False
            await self._play(step)
        await self._flush()
        return True

    async def _play(self, step: steps.Step) -> None:
        known: _AnyStep = step  # type: ignore[assignment]  # Step is abstract: validation yields only these
        match known:
            case steps.Send(send=payload):
                for piece in payload.pieces(self._files):
                    await self._put(piece)
            case steps.Pause(pause=seconds):
                await self._flush()
                await self._patience.sleep(seconds)
            case steps.Drip(drip=drip):
                await self._drip(drip.send.pieces(self._files), drip)
            case steps.Read(read=amount):
                await self._flush()
                if amount != "head":
                    await self._patience.body(None if amount == "all" else amount)
            case steps.Hang():
                await self._flush()
                await self._patience.forever()
            case steps.Respond(respond=how):
                await self._respond(how)
            case steps.Close() | steps.Reset():
                raise AssertionError("play() ends with these")
            case _:
                assert_never(known)

    async def _respond(self, how: steps.Answering) -> None:
        if self._answer is None:
            return
        if not self._answer.begun:
            await self._flush()
        async for piece in self._answer.parts(how, self._files):
            if how.drip is not None:
                await self._drip([piece], how.drip)
                continue
            await self._put(piece)
            if self._answer.streamed and how.part != "head":
                await self._flush()

    async def _drip(self, pieces: Iterable[bytes], drip: steps.Dripping) -> None:
        await self._flush()
        for piece in pieces:
            for start in range(0, len(piece), drip.bytes):
                await self._sink.write(piece[start : start + drip.bytes])
                await self._patience.sleep(drip.every)

    async def _put(self, piece: bytes) -> None:
        # Collected, so that what a script sends without a wait in between travels in one packet.
        self._packet += piece
        if len(self._packet) >= PIECE:
            await self._flush()
            await asyncio.sleep(0)  # a peer that reads as fast as we write must not keep the loop to itself

    async def _flush(self) -> None:
        if self._packet:
            packet, self._packet = bytes(self._packet), bytearray()
            await self._sink.write(packet)


async def _in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
