from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.cache.body import AHEAD, Body
from badgateway_proxy.errors import ErrorType, HopError, Phase

ERROR = HopError(ErrorType.CONNECTION_TERMINATED, "gone", phase=Phase.RECEIVE)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_small_body_is_one_piece() -> None:
    body = Body(b"ab")
    assert body.whole() is None
    body.append(b"cd")
    body.finish()
    assert body.whole() == b"abcd"
    assert Body(complete=True).whole() == b""


def test_a_large_one_is_read_in_pieces() -> None:
    body = Body(b"x" * 65536)
    body.append(b"y" * 65536)
    body.finish()
    assert body.whole() is None
    reader = body.reader()
    assert (reader.take(), reader.take(), reader.ended) == (b"x" * 65536, b"y" * 65536, True)


def test_a_drip_costs_no_object_for_each_byte() -> None:
    body = Body()
    for _ in range(10_000):
        body.append(b"x")
    assert len(body.pieces) <= 3


@given(
    st.lists(st.binary(min_size=1, max_size=9000), max_size=8), st.integers(0, 9000), st.none() | st.integers(0, 9000)
)
def test_a_reader_gets_what_slicing_gives(pieces: list[bytes], start: int, length: int | None) -> None:
    body = Body()
    stop = None if length is None else start + length
    reader = body.reader(start, stop)
    got = b""
    for number, piece in enumerate(pieces):
        body.append(piece)
        if number % 2:
            got += reader.take()
    body.finish()
    while data := reader.take():
        got += data
    assert got == b"".join(pieces)[start:stop]
    assert reader.ended or start > body.size


async def test_readers_wait_each_at_their_own_place() -> None:
    body = Body()
    first, second = body.reader(), body.reader()
    waiting = [asyncio.create_task(reader.next()) for reader in (first, second)]
    await settled()
    body.append(b"a")
    assert [await each for each in waiting] == [b"a", b"a"]
    late = body.reader()
    body.append(b"b")
    assert await first.next() == b"b"
    assert await late.next() == b"ab"
    body.finish()
    assert [await reader.next() for reader in (first, second, late)] == [b"", b"b", b""]


async def test_one_that_leaves_does_not_end_the_others_waiting() -> None:
    body = Body()
    one, other = body.reader(), body.reader()
    leaving, staying = asyncio.create_task(one.next()), asyncio.create_task(other.next())
    await settled()
    leaving.cancel()
    await settled()
    one.close()
    body.append(b"a")
    assert await staying == b"a"


async def test_what_came_is_read_before_the_error() -> None:
    body = Body()
    reader = body.reader()
    body.append(b"a")
    body.fail(ERROR)
    assert await reader.next() == b"a"
    for _ in range(2):
        with pytest.raises(HopError) as caught:
            await reader.next()
        assert (caught.value.error, caught.value.details) == (ERROR.error, ERROR.details)
        assert caught.value is not ERROR


async def test_a_body_that_is_not_kept_waits_for_its_slowest_reader_and_forgets_what_all_have() -> None:
    body = Body()
    fast, slow = body.reader(), body.reader()
    body.let_go()
    piece = b"x" * 65536
    written = 0

    async def write() -> None:
        nonlocal written
        for _ in range(40):
            await body.room()
            body.append(piece)
            written += 1
        body.finish()

    writing = asyncio.create_task(write())
    got = 0
    while got < 4 * len(piece):
        got += len(await fast.next())
    await settled()
    assert written <= AHEAD // len(piece) + 2
    assert not writing.done()
    for _ in range(40):
        got_slowly = len(await slow.next())
        assert got_slowly == len(piece)
        while fast.take():
            pass
        assert len(body.pieces) <= AHEAD // len(piece) + 3
        await settled()
    await writing
    assert await slow.next() == b""
    assert written == 40


async def test_nobody_waits_for_a_reader_that_left() -> None:
    body = Body()
    slow = body.reader()
    body.let_go()
    body.append(b"x" * (AHEAD + 1))
    waiting = asyncio.create_task(body.room())
    await settled()
    assert not waiting.done()
    slow.close()
    await waiting
    assert not body.readers


def test_one_that_is_kept_forgets_nothing() -> None:
    body = Body(b"x" * 5000)
    body.append(b"y" * 5000)
    reader = body.reader()
    while reader.take():
        pass
    reader.close()
    assert body.dropped == 0
    assert body.reader().take() == b"x" * 5000
