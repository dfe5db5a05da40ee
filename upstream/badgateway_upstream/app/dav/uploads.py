"""Taking in a file: as it arrives, into a temporary file on the app's disk, so that nothing half is ever stored."""

from __future__ import annotations

from typing import Final

from badgateway_upstream.app.dav.tree import NoRoomError
from badgateway_upstream.app.storage import Storage
from badgateway_upstream.wire.requests import Request

LARGEST_FILE: Final = 1 << 20


class TooLargeError(Exception):
    """The file is larger than any may be."""


async def receive(request: Request, storage: Storage, room: int) -> bytes:
    """Return the request's body. An upload that cannot fit is given up at once, when its length says so or is seen.

    Raises TooLargeError; NoRoomError above ``room`` bytes; OSError (ENOSPC where the disk is full);
    BodyCutShortError when the client leaves.
    """
    announced = request.header("content-length")
    _check(int(announced) if announced is not None and announced.isdecimal() else 0, room)
    received = 0
    with storage.scratch() as file:
        async for piece in request.body.pieces():
            received += len(piece)
            _check(received, room)
            rest = memoryview(piece)
            while rest:
                rest = rest[file.write(rest) :]
        file.seek(0)
        return file.read()


def _check(length: int, room: int) -> None:
    if length > LARGEST_FILE:
        raise TooLargeError
    if length > room:
        raise NoRoomError("quota-not-exceeded", f"of the quota, {max(0, room)} bytes are left")
