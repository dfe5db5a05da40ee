"""A run's directory is private, tells the end of a log, and goes away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from badgateway.processes.rundir import LOCK, TAIL_LINES, RunDir, remove_abandoned


def test_it_is_private_and_goes_away_with_all_in_it() -> None:
    rundir = RunDir()
    assert rundir.path.stat().st_mode & 0o777 == 0o700
    rundir.database.write_text("x")
    rundir.log("lb").write_text("x")
    assert rundir.remove()
    assert rundir.remove()
    assert not rundir.path.exists()


def test_the_tail_of_a_log_is_its_last_lines() -> None:
    rundir = RunDir()
    try:
        assert rundir.log_tail("lb") == ""
        rundir.log("lb").write_bytes(b"x" * 100_000 + b"\n" + b"".join(b"line %d \xff\n" % n for n in range(20)))
        assert rundir.log_tail("lb").splitlines()[-1] == "line 19 �"
        assert len(rundir.log_tail("lb").splitlines()) == TAIL_LINES
    finally:
        rundir.remove()


def test_whoever_deletes_it_later_hears_of_it_before_it_is_there() -> None:
    heard: list[tuple[Path, bool]] = []
    rundir = RunDir(announce=lambda path: heard.append((path, path.exists())))
    try:
        assert heard == [(rundir.path, False)]
        assert rundir.path.exists()
    finally:
        rundir.remove()


OWNER = """
import sys
from badgateway.processes.rundir import RunDir
rundir = RunDir()
rundir.database.write_text("x")
print(rundir.path, flush=True)
sys.stdin.read()
"""


def owner(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_directory_whose_owner_was_killed_goes_with_the_next_start_and_one_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, abandoned = owner(tmp_path)
    second, used = owner(tmp_path)
    end(first)
    assert abandoned.exists()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rundir = RunDir()
    try:
        assert {path.name for path in tmp_path.iterdir()} == {used.name, rundir.path.name}
        assert (used / "shop.sqlite3").exists()
        end(second)
        assert remove_abandoned(tmp_path) == [used]
        assert remove_abandoned(tmp_path) == []
        assert rundir.path.exists()
    finally:
        rundir.remove()


def test_what_is_not_certainly_ours_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / LOCK).touch()
    (tmp_path / "badgateway-link").symlink_to(elsewhere)
    (tmp_path / "badgateway-file").touch()
    (tmp_path / "badgateway-no-lock").mkdir(mode=0o700)
    shared = tmp_path / "badgateway-shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / LOCK).touch()
    linked = tmp_path / "badgateway-linked-lock"
    linked.mkdir(mode=0o700)
    (linked / LOCK).symlink_to(elsewhere / LOCK)
    assert remove_abandoned(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 6
