"""A disk that is really full."""

from __future__ import annotations

import errno
import os

import pytest

from badgateway_upstream.engine.smalldisk import LARGEST, SmallDisk


def write(descriptor: int, content: bytes) -> int:
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        return file.write(content) or 0


@pytest.fixture(params=[True, False], ids=["namespaces", "without"])
def disk(request: pytest.FixtureRequest) -> SmallDisk:
    return SmallDisk(8192, namespaces=request.param)


def test_a_full_disk_takes_nothing_more(disk: SmallDisk) -> None:
    disk.fill()
    assert disk.free == 0
    with pytest.raises(OSError, match="No space left on device") as named:
        write(disk.open("more", os.O_WRONLY | os.O_CREAT), b"more")
    assert named.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left on device"):
        write(disk.scratch(), b"more")
    disk.close()


def test_it_says_what_it_is_made_of(disk: SmallDisk) -> None:
    expected = "/dev/full" if disk.why else "tmpfs"
    assert disk.mechanism == expected
    assert (disk.directory is None) == bool(disk.why)
    disk.close()


def test_room_can_be_made(disk: SmallDisk) -> None:
    if disk.mechanism != "tmpfs":
        assert disk.fill() == 0
        return
    assert disk.free == 8192
    assert disk.fill() == 8192
    os.unlink("ballast", dir_fd=disk.directory)
    assert write(disk.open("file", os.O_WRONLY | os.O_CREAT), b"x" * 4096) == 4096
    assert disk.free == 4096
    with os.fdopen(disk.open("file", os.O_RDONLY), "rb") as file:
        assert file.read() == b"x" * 4096
    disk.close()


def test_nobody_else_sees_it(disk: SmallDisk) -> None:
    disk.fill()
    assert not os.path.exists("/tmp/ballast")
    disk.close()
    disk.close()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd"])
def test_it_has_no_other_files_than_its_own(disk: SmallDisk, name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a file"):
        disk.open(name, os.O_RDONLY)
    disk.close()


@pytest.mark.parametrize("size", [0, 4095, LARGEST + 1])
def test_its_size_is_bounded(size: int) -> None:
    with pytest.raises(ValueError, match="a small disk has"):
        SmallDisk(size)
