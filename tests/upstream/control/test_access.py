"""Where the token comes from."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from badgateway_upstream.control.access import find_token


@pytest.fixture(autouse=True)
def _no_token_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BADGATEWAY_TOKEN", raising=False)


def test_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    made, invented = find_token(None, file)
    assert not invented
    assert file.stat().st_mode & 0o777 == 0o600
    assert find_token(None, file) == (made, False)
    monkeypatch.setenv("BADGATEWAY_TOKEN", "from-the-environment")
    assert find_token(None, file) == ("from-the-environment", False)
    assert find_token("configured", file) == ("configured", False)


def test_a_random_one_is_told() -> None:
    token, invented = find_token(None)
    assert invented
    assert len(token) > 20


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ValueError, match="holds no token"):
        find_token(None, tmp_path / "token")


def test_whoever_finds_the_file_finds_a_whole_token_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    link, seen = os.link, []

    def and_look(source: Path, target: Path) -> None:
        assert not target.exists()
        link(source, target)
        seen.append(target.read_text())

    monkeypatch.setattr(os, "link", and_look)
    token, _ = find_token(None, file)
    assert seen == [f"{token}\n"]
    assert list(tmp_path.iterdir()) == [file]


def test_of_those_who_make_it_at_once_one_s_counts(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: find_token(None, tmp_path / "token"), range(32)))
    assert found == {((tmp_path / "token").read_text().strip(), False)}
    assert len(list(tmp_path.iterdir())) == 1
