"""The bytes of one response as they come: one writer, any number of readers, each at its own pace.

A body that is to be stored is kept whole, and comes as fast as the endpoint sends it. One that is not (any more, as it
turned out too large) is kept only until its slowest reader has it, and the writer waits for that reader.
"""

from __future__ import annotations

import asyncio

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.driving import in_task

#: Pieces smaller than this are joined with the one before, so that a drip of bytes costs no object for each.
_SMALL = 4096
#: Up to this size a whole body becomes one piece, which goes out with its head in one write.
_ONE_PIECE = 64 * 1024
#: How far the writer may be ahead of the slowest reader of a body that is not kept, in bytes.
AHEAD = 256 * 1024


class Body:
    """One response's body.

    Args:
        first: what has come of it.
        complete: whether that is all.
    """

    __slots__ = ("_room", "changed", "complete", "dropped", "error", "kept", "pieces", "readers", "size")

    def __init__(self, first: bytes = b"", *, complete: bool = False) -> None:
        #: What has come, but for the first `dropped` pieces, which every reader has.
        self.pieces: list[bytes] = [first] if first else []
        self.dropped = 0
        self.readers: set[Reader] = _NOBODY
        #: Done when something has happened; made by whoever waits first.
        self.changed: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        #: Bytes that have come.
        self.size = len(first)
        self.complete = complete
        #: Why it will never be complete.
        self.error: HopError | None = None
        #: Whether it is kept whole.
        self.kept = True

    # -- for the writer --------------------------------------------------------------------------------

    def append(self, data: bytes) -> None:
        """Take in what came."""
        pieces = self.pieces
        if pieces and len(data) < _SMALL and len(pieces[-1]) < _SMALL:
            pieces[-1] += data
        else:
            pieces.append(data)
        self.size += len(data)
        self._tell()

    def finish(self) -> None:
        """It is all there."""
        self.complete = True
        self._tell()

    def fail(self, error: HopError) -> None:
        """It will not be: readers get what came, and then the error."""
        self.error = error
        self._tell()

    def let_go(self) -> None:
        """Keep it no longer than its readers need."""
        self.kept = False
        self.drop()

    async def room(self) -> None:
        """Wait until a body that is not kept may grow: its slowest reader is not far behind."""
        while not self.kept and self.size - self._slowest() > AHEAD:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _tell(self) -> None:
        changed, self.changed = self.changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    # -- for readers -----------------------------------------------------------------------------------

    def whole(self) -> bytes | None:
        """All of it at once, if it is complete and small; else None."""
        pieces = self.pieces
        if not self.complete or self.size > _ONE_PIECE:
            return None
        if len(pieces) > 1:
            if self.readers:
                return b"".join(pieces)
            pieces[:] = [b"".join(pieces)]
        return pieces[0] if pieces else b""

    def reader(self, start: int = 0, stop: int | None = None) -> Reader:
        """Read from byte ``start`` on, up to ``stop`` (not included). To be closed behind the last read."""
        reader = Reader(self, start, stop)
        if self.readers is _NOBODY:
            self.readers = set()
        self.readers.add(reader)
        return reader

    def _slowest(self) -> int:
        return min((reader.position for reader in self.readers), default=self.size)

    def drop(self) -> None:
        """Forget what all readers have, if it is not kept."""
        if self.kept or self.complete:
            return
        read = min((reader.piece for reader in self.readers), default=self.dropped + len(self.pieces))
        if read > self.dropped:
            del self.pieces[: read - self.dropped]
            self.dropped = read
        if self._room is not None and not self._room.done() and self.size - self._slowest() <= AHEAD:
            self._room.set_result(None)


class Reader:
    """One reader's place in a body."""

    __slots__ = ("_body", "_stop", "_within", "piece", "position")

    def __init__(self, body: Body, start: int, stop: int | None) -> None:
        self._body = body
        self._stop = stop
        self._within = start
        #: The piece that it is in, counted from the body's first.
        self.piece = 0
        #: Bytes of the body before its place.
        self.position = start

    def take(self) -> bytes:
        """The next bytes that are there, maybe none."""
        body, stop = self._body, self._stop
        if stop is not None and self.position >= stop:
            return b""
        pieces = body.pieces
        index = self.piece - body.dropped
        while index < len(pieces):
            piece = pieces[index]
            if self._within < len(piece):
                data = piece[self._within :] if self._within else piece
                if stop is not None:
                    data = data[: stop - self.position]
                self._within += len(data)
                self.position += len(data)
                return data
            if index + 1 == len(pieces):
                break  # the last piece may still grow
            self._within -= len(piece)
            self.piece += 1
            index += 1
        body.drop()
        return b""

    @property
    def ended(self) -> bool:
        """Whether it has all that it reads."""
        if self._stop is not None and self.position >= self._stop:
            return True
        return self._body.complete and self.position >= self._body.size

    async def next(self) -> bytes:
        """Wait for more; ``b""`` at the end.

        Raises:
            HopError: why there will be no more.
        """
        body = self._body
        while not (data := self.take()):
            if self.ended:
                return b""
            if body.error is not None:
                raise body.error.again()
            await in_task()
            if body.changed is None:
                body.changed = asyncio.get_running_loop().create_future()
            # It wakes every reader: one that leaves must not end the others' waiting.
            await asyncio.shield(body.changed)
        return data

    def close(self) -> None:
        """Read no more."""
        self._body.readers.discard(self)
        self._body.drop()


#: What a body has that nobody reads in pieces; most never are.
_NOBODY: set[Reader] = set()
