"""What scripts can send."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.wire.payloads import PIECE, Payload, unescape


def made(data: Any, files: Path | None = None) -> bytes:
    pieces = list(Payload.model_validate(data).pieces(files))
    assert all(len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a\r\nb", b"a\r\nb"),
        (r"\t\0\\n", b"\t\0\\n"),
        (r"\xff\x00\x0A", b"\xff\x00\n"),
        ("é→", "é→".encode()),
        ("", b""),
        ("real\r\n", b"real\r\n"),
    ],
)
def test_escapes(text: str, expected: bytes) -> None:
    assert unescape(text) == expected
    assert made(text) == expected


@pytest.mark.parametrize("text", ["\\", r"\q", r"\x1", r"\xgg", "a\\"])
def test_unknown_escapes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown escape"):
        unescape(text)
    with pytest.raises(ValueError, match="unknown escape"):
        Payload.model_validate(text)


@given(st.binary(max_size=300))
def test_every_byte_can_be_written(data: bytes) -> None:
    assert unescape("".join(f"\\x{byte:02x}" for byte in data)) == data


def test_kinds(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"<p>")
    assert made({"bytes": "AAH/"}) == b"\x00\x01\xff"
    assert made({"random": 200_000, "seed": 5}) == made({"random": 200_000, "seed": 5})
    assert made({"random": 10}) == random.Random(0).randbytes(10)
    assert made({"file": "page.html"}, tmp_path) == b"<p>"
    assert made({"repeat": {"send": "ab", "times": 100_000}}) == b"ab" * 100_000
    assert made({"repeat": {"send": {"repeat": {"send": "a", "times": 2}}, "times": 3}}) == b"a" * 6
    assert made({"repeat": {"send": "", "times": 10**12}}) == b""
    assert made({"join": ["a", {"bytes": "Yg=="}]}) == b"ab"


@given(st.binary(min_size=1, max_size=70_000), st.integers(0, 5))
def test_repetition_is_multiplication(data: bytes, times: int) -> None:
    text = "".join(f"\\x{byte:02x}" for byte in data[:50])
    payload = Payload.model_validate({"repeat": {"send": text, "times": times * 1000}})
    assert b"".join(payload.pieces()) == data[:50] * times * 1000
    assert payload.size() == len(data[:50]) * times * 1000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"rndom": 3}, "did you mean 'random'"),
        ({"random": -1}, "greater than or equal"),
        ({"random": 10**18}, "less than or equal"),
        ({"random": "3"}, "must be a whole number"),
        ({"random": 3, "sed": 1}, "did you mean 'seed'"),
        ({"bytes": "%%"}, "base64"),
        (3, "must be text or one of"),
        ({"repeat": {"send": {"random": 1 << 30}, "times": 1 << 30}}, "tebibyte"),
        ({"repeat": {"send": {"repeat": {"send": {"join": [{"join": []}]}, "times": 1}}, "times": 1}}, "three deep"),
    ],
)
def test_wrong_payloads_are_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Payload.model_validate(data)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "missing", ".", "link"])
def test_files_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match=r"outside|no file"):
        Payload.model_validate({"file": name}).check_files(folder)
    with pytest.raises(ValueError, match="--files"):
        Payload.model_validate({"join": [{"repeat": {"send": {"file": name}, "times": 1}}]}).check_files(None)


def test_a_payload_is_the_same_after_json() -> None:
    for data in ("a", {"bytes": "AA=="}, {"random": 3, "seed": 1}, {"repeat": {"send": "x", "times": 2}}):
        payload = Payload.model_validate(data)
        assert Payload.model_validate(payload.model_dump(mode="json")) == payload
