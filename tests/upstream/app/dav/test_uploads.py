"""Files as they arrive."""

from __future__ import annotations

import asyncio
import os
from io import FileIO
from typing import BinaryIO, cast

import pytest

from badgateway_upstream.app.dav.tree import NoRoomError
from badgateway_upstream.app.dav.uploads import LARGEST_FILE, TooLargeError, receive
from badgateway_upstream.app.storage import Storage
from badgateway_upstream.wire.requests import BodyCutShortError, Intake, Request


def upload(data: bytes, *headers: str) -> tuple[Intake, Request]:
    reader = Intake(lambda: None)
    reader.feed("\r\n".join(["PUT /dav/x HTTP/1.1", "Host: a", *headers, "", ""]).encode() + data)
    return reader, reader.ready[0]


class Watched(Storage):
    """A storage that remembers what it gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[BinaryIO] = []

    def scratch(self) -> BinaryIO:
        self.files.append(super().scratch())
        return self.files[-1]


async def test_a_file_comes_in_pieces() -> None:
    storage = Watched()
    reader, request = upload(b"12", "Content-Length: 5")
    arriving = asyncio.create_task(receive(request, storage, 5))
    await asyncio.sleep(0)
    reader.feed(b"345")
    assert await arriving == b"12345"
    assert storage.files[0].closed


@pytest.mark.parametrize(
    ("length", "room", "error"),
    [(6, 5, NoRoomError), (1, -3, NoRoomError), (LARGEST_FILE + 1, LARGEST_FILE * 2, TooLargeError)],
)
async def test_what_says_that_it_cannot_fit_is_not_read(length: int, room: int, error: type[Exception]) -> None:
    storage = Watched()
    _, request = upload(b"", f"Content-Length: {length}")
    with pytest.raises(error):
        await receive(request, storage, room)
    assert storage.files == []


async def test_what_does_not_say_so_is_given_up_at_the_first_byte_too_many() -> None:
    storage = Watched()
    _, request = upload(b"6\r\n123456\r\n", "Transfer-Encoding: chunked")
    with pytest.raises(NoRoomError, match="5 bytes are left"):
        await receive(request, storage, 5)
    assert storage.files[0].closed


async def test_a_client_that_leaves() -> None:
    storage = Watched()
    reader, request = upload(b"12", "Content-Length: 5")
    reader.end()
    with pytest.raises(BodyCutShortError):
        await receive(request, storage, 5)
    assert storage.files[0].closed


async def test_a_disk_that_takes_a_part_of_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FileIO):
        def write(self, data: object) -> int:
            return super().write(memoryview(cast("bytes", data))[:3])

    storage = Watched()
    opened = super(Watched, storage).scratch()
    monkeypatch.setattr(storage, "scratch", lambda: Slow(os.dup(opened.fileno()), "w+"))
    _, request = upload(b"1234567", "Content-Length: 7")
    assert await receive(request, storage, 7) == b"1234567"
    opened.close()
