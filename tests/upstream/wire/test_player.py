"""Playing scripts: a table of steps and what goes out, without sockets and without time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from badgateway_upstream.app.answers import Answer
from badgateway_upstream.wire.player import AnswerInParts, Player
from badgateway_upstream.wire.steps import parse_steps

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class Recorder:
    """A sink and a patience that write down what happens."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    async def write(self, data: bytes) -> None:
        self.log.append(data)

    async def close(self) -> None:
        self.log.append("close")

    async def reset(self) -> None:
        self.log.append("reset")

    async def sleep(self, seconds: float) -> None:
        self.log.append(seconds)

    async def forever(self) -> None:
        self.log.append("hang")

    async def body(self, count: int | None) -> None:
        self.log.append(("read", count))


async def play(script: list[Any], answer: Answer | None = None) -> tuple[list[Any], bool]:
    recorder = Recorder()

    async def make() -> Answer:
        recorder.log.append("asked")
        return answer or Answer(200, HEAD, b"0123456789", 10)

    parts = AnswerInParts(make, lambda _: None)
    is_open = await Player(recorder, recorder, parts).play(parse_steps(script))
    await parts.close()
    return recorder.log, is_open


@pytest.mark.parametrize(
    ("script", "log"),
    [
        ([{"send": "a"}, {"send": "b"}], [b"ab"]),
        ([{"send": "a"}, {"pause": "1s"}, {"send": "b"}, "close"], [b"a", 1.0, b"b", "close"]),
        ([{"send": "a"}, "hang", "reset"], [b"a", "hang", "reset"]),
        ([{"send": "a"}, {"read": "all"}, {"read": 5}, {"read": "head"}], [b"a", ("read", None), ("read", 5)]),
        ([{"drip": {"send": "abc", "bytes": 2, "every": "1s"}}], [b"ab", 1.0, b"c", 1.0]),
        (["respond"], ["asked", HEAD + b"0123456789"]),
        ([{"send": "a"}, "respond"], [b"a", "asked", HEAD + b"0123456789"]),
        (["respond", "respond"], ["asked", HEAD + b"0123456789"]),
        ([{"respond": {"to": 4}}, "close"], ["asked", HEAD[:4], "close"]),
        ([{"respond": {"to": -3}}], ["asked", HEAD + b"0123456"]),
        ([{"respond": {"part": "head"}}, {"pause": "1s"}, {"respond": {}}], ["asked", HEAD, 1.0, b"0123456789"]),
        (
            [{"respond": {"part": "body", "to": 3}}, {"pause": "1s"}, {"respond": {"part": "body", "to": "50%"}}],
            ["asked", b"012", 1.0, b"34"],
        ),
        (
            [{"respond": {"part": "body", "to": 3, "drip": {"bytes": 2, "every": "1s"}}}],
            ["asked", b"01", 1.0, b"2", 1.0],
        ),
        ([{"respond": {"status_line": "X"}}], ["asked", b"X\r\nContent-Length: 10\r\n\r\n0123456789"]),
        ([{"respond": {"framing": "close"}}], ["asked", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789"]),
    ],
)
async def test_scripts(script: list[Any], log: list[Any]) -> None:
    got, is_open = await play(script)
    assert got == log
    assert is_open is (log[-1] not in ("close", "reset"))


async def test_large_sends_go_out_in_pieces() -> None:
    log, _ = await play([{"send": {"random": 300_000}}, {"send": "end"}])
    assert max(len(piece) for piece in log) <= 2 * 65536
    assert sum(len(piece) for piece in log) == 300_003


async def test_a_share_of_a_stream_of_unknown_length_is_of_what_comes_first() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abcd"
        yield b"never asked for"

    answer = Answer(200, HEAD, body(), None)
    log, _ = await play([{"respond": {"part": "body", "to": "50%"}}], answer)
    assert log == ["asked", b"ab"]


async def test_a_stream_is_cut_at_a_byte_across_its_pieces() -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in (b"abc", b"def", b"ghi"):
            yield piece

    log, _ = await play([{"respond": {"to": len(HEAD) + 5}}, "reset"], Answer(200, HEAD, body(), 9))
    assert log == ["asked", HEAD, b"abc", b"de", "reset"]
