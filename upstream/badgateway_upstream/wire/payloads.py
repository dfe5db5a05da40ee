"""What a wire script sends: text with escapes, bytes, seeded random bytes, a file, or these repeated and joined.

Whatever its size, a payload is produced in pieces; nobody holds it whole.
"""

from __future__ import annotations

import base64
import binascii
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, SerializeAsAny, model_serializer, model_validator

from badgateway_upstream.strict import Strict, did_you_mean, refusal

PIECE: Final = 64 * 1024
LARGEST: Final = 1 << 40
"""No payload is larger than a tebibyte: larger ones are typing errors."""

_ESCAPE: Final = re.compile(r"\\(x[0-9A-Fa-f]{2}|.|$)", re.DOTALL)
_PLAIN_ESCAPES: Final = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def unescape(text: str) -> bytes:
    r"""Return the bytes of ``text``: UTF-8, in which ``\r \n \t \0 \\`` and ``\xHH`` stand for one byte each.

    Raises ``ValueError`` for any other backslash.
    """
    out = bytearray()
    end = 0
    for match in _ESCAPE.finditer(text):
        out += text[end : match.start()].encode()
        escape = match[1]
        if len(escape) == 3:
            out.append(int(escape[1:], 16))
        elif escape in _PLAIN_ESCAPES:
            out += _PLAIN_ESCAPES[escape]
        else:
            raise ValueError(rf"unknown escape {match[0]!r}: there are \r \n \t \0 \\ and \xHH")
        end = match.end()
    return bytes(out + text[end:].encode())


def _escaped(text: str) -> str:
    unescape(text)
    return text


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"is no base64: {error}") from error
    return text


EscapedText = Annotated[str, Field(max_length=1 << 20), AfterValidator(_escaped)]
r"""Text in which ``\r \n \t \0 \\ \xHH`` are escapes, at most 1 MiB."""


class Payload(Strict):
    """One of the kinds below. As data: a text, or a mapping whose first key says which kind."""

    @classmethod
    def choose(cls, data: object) -> type[Strict]:
        """The class for ``data``; raises ValidationError when it is none of the kinds."""
        if cls is not Payload:
            return cls
        if isinstance(data, str):
            return Text
        if isinstance(data, dict):
            for key in data:
                if key in _KINDS:
                    return _KINDS[key]
            hint = did_you_mean(next(iter(data), ""), _KINDS)
            raise refusal("payload", (), f"says nothing to send; {hint}", data)
        raise refusal("payload", (), f"must be text or one of {{{', '.join(_KINDS)}: …}}", data)

    def size(self) -> int | None:
        """How many bytes `pieces` yields; None where only reading a file tells."""
        raise NotImplementedError

    def pieces(self, files: Path | None = None) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most 64 KiB. ``files`` is the folder that files are read from."""
        raise NotImplementedError

    def depth(self) -> int:
        """How many payloads are nested in each other."""
        return 0

    def check_files(self, files: Path | None) -> None:
        """Raise ``ValueError`` when this names a file that may not be sent from ``files``."""


class Text(Payload):
    """Text with escapes."""

    text: EscapedText

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data

    @model_serializer
    def _as_text(self) -> str:
        return self.text

    def size(self) -> int:
        """Bytes after unescaping."""
        return len(unescape(self.text))

    def pieces(self, files: Path | None = None) -> Iterator[bytes]:
        """The text's bytes."""
        return _cut(unescape(self.text))


class Bytes(Payload):
    """Bytes, written in base64."""

    encoded: Annotated[str, Field(alias="bytes", max_length=1 << 20), AfterValidator(_base64)]

    def size(self) -> int:
        """Bytes after decoding."""
        return len(base64.b64decode(self.encoded))

    def pieces(self, files: Path | None = None) -> Iterator[bytes]:
        """The decoded bytes."""
        return _cut(base64.b64decode(self.encoded))


class Random(Payload):
    """So many random bytes, the same ones for the same seed."""

    count: int = Field(alias="random", ge=0, le=LARGEST)
    seed: int = 0

    def size(self) -> int:
        """As many as asked for."""
        return self.count

    def pieces(self, files: Path | None = None) -> Iterator[bytes]:
        """Drawn anew, from the seed, on each call."""
        draw = random.Random(self.seed)  # noqa: S311 - noise to be reproduced, not a secret
        for start in range(0, self.count, PIECE):
            yield draw.randbytes(min(PIECE, self.count - start))


class File(Payload):
    """A file inside the folder that the instance was told to serve files from."""

    name: Annotated[str, Field(alias="file", min_length=1, max_length=4096)]

    def size(self) -> int | None:
        """Unknown before it is read; files are sent as they are."""
        return None

    def pieces(self, files: Path | None = None) -> Iterator[bytes]:
        """The file's content as it is now."""
        with self._path(files).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def check_files(self, files: Path | None) -> None:
        """Refuse what is outside the folder, or no file."""
        self._path(files)

    def _path(self, files: Path | None) -> Path:
        if files is None:
            raise ValueError("this instance sends no files; start it with --files DIR (config: files) to allow it")
        path = (files / self.name).resolve()
        if not path.is_relative_to(files.resolve()):
            raise ValueError(f"{self.name!r} is outside the folder that files are sent from")
        if not path.is_file():
            raise ValueError(f"there is no file {self.name!r} in {files}")
        return path


class Repetition(Strict):
    """What to send, and how often."""

    send: SerializeAsAny[Payload]
    times: int = Field(ge=0, le=LARGEST)


class Repeat(Payload):
    """Another payload, again and again."""

    repeat: Repetition

    @model_validator(mode="after")
    def _limited(self) -> Self:
        _check(self)
        return self

    def size(self) -> int | None:
        """Times the size of what is repeated."""
        once = self.repeat.send.size()
        return None if once is None else self.repeat.times * once

    def depth(self) -> int:
        """One more than what is repeated."""
        return 1 + self.repeat.send.depth()

    def check_files(self, files: Path | None) -> None:
        """Refuse what the repeated payload refuses."""
        self.repeat.send.check_files(files)

    def pieces(self, files: Path | None = None) -> Iterator[bytes]:
        """Small payloads are joined to pieces of about 64 KiB."""
        times, inner = self.repeat.times, self.repeat.send
        size = inner.size()
        if size is None or size > PIECE:
            for _ in range(times):
                empty = True
                for piece in inner.pieces(files):
                    empty = False
                    yield piece
                if empty:
                    return  # nothing, however often
        elif size:
            once = b"".join(inner.pieces(files))
            together = PIECE // size
            whole, rest = divmod(times, together)
            block = once * min(times, together)
            for _ in range(whole):
                yield block
            if rest:
                yield once * rest


class Join(Payload):
    """Several payloads, one after the other."""

    join: Annotated[list[SerializeAsAny[Payload]], Field(max_length=100)]

    @model_validator(mode="after")
    def _limited(self) -> Self:
        _check(self)
        return self

    def size(self) -> int | None:
        """All of them."""
        total = 0
        for part in self.join:
            size = part.size()
            if size is None:
                return None
            total += size
        return total

    def depth(self) -> int:
        """One more than the deepest."""
        return 1 + max((part.depth() for part in self.join), default=0)

    def check_files(self, files: Path | None) -> None:
        """Refuse what one of them refuses."""
        for part in self.join:
            part.check_files(files)

    def pieces(self, files: Path | None = None) -> Iterator[bytes]:
        """The pieces of all."""
        for part in self.join:
            yield from part.pieces(files)


def _check(payload: Payload) -> None:
    if payload.depth() > 3:
        raise ValueError("payloads may be nested three deep at most")
    if (payload.size() or 0) > LARGEST:
        raise ValueError("sends more than a tebibyte")


_KINDS: Final[dict[str, type[Payload]]] = {
    "text": Text,
    "bytes": Bytes,
    "random": Random,
    "file": File,
    "repeat": Repeat,
    "join": Join,
}


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[start : start + PIECE] for start in range(0, len(data), PIECE))
