from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from badgateway_proxy.admin.tokens import TokenError, read_or_make, resolve_token


def test_the_order(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    environ = {"BADGATEWAY_TOKEN": "from-env"}
    assert resolve_token("configured", str(file), environ) == ("configured", False)
    assert resolve_token(None, str(file), environ) == ("from-env", False)
    assert resolve_token(None, str(file), {}) == ("from-file", False)
    one, unknown = resolve_token(None, None, {})
    other, _ = resolve_token(None, None, {})
    assert unknown
    assert one != other


def test_makes_a_file_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = read_or_make(file)
    assert len(token) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_make(file) == token
    assert list(tmp_path.iterdir()) == [file]


def test_all_who_come_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(read_or_make, [tmp_path / "token"] * 40))
    assert len(tokens) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff"])
def test_a_file_without_a_token(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(TokenError, match="token"):
        read_or_make(file)
    assert file.read_bytes() == content


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="cannot use token file"):
        read_or_make(tmp_path / "nowhere" / "token")
