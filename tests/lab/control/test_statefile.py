import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from badgateway.control import statefile


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def dead() -> int:
    """The pid of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_claimed_is_read_back_and_only_its_owner_may_read_it() -> None:
    state = statefile.this_process("http://127.0.0.1:8500", "secret")
    assert statefile.claim(state) is None
    assert statefile.read() == statefile.running() == state
    assert stat.S_IMODE(statefile.path().stat().st_mode) == 0o600
    assert stat.S_IMODE(statefile.path().parent.stat().st_mode) == 0o700
    assert [path.name for path in statefile.path().parent.iterdir()] == ["lab.json"]


def test_release_removes_only_ones_own() -> None:
    state = statefile.this_process("http://127.0.0.1:8500", "secret")
    statefile.claim(state)
    statefile.release(statefile.LabState("http://127.0.0.1:1", "other", os.getpid(), 0))
    assert statefile.read() == state
    statefile.release(state)
    statefile.release(state)
    assert statefile.read() is None


def test_a_second_claim_is_told_who_has_it() -> None:
    first = statefile.this_process("http://127.0.0.1:8500", "secret")
    statefile.claim(first)
    assert statefile.claim(statefile.LabState("http://127.0.0.1:1", "t", os.getppid(), 0)) == first
    assert statefile.read() == first


def test_a_stale_file_is_replaced(dead: int) -> None:
    statefile.claim(statefile.LabState("http://127.0.0.1:1", "t", dead, 0))
    assert statefile.running() is None
    state = statefile.this_process("http://127.0.0.1:8500", "secret")
    assert statefile.claim(state) is None
    assert statefile.running() == state


def test_a_recycled_pid_does_not_pass_for_the_chain() -> None:
    own = statefile.process_start(os.getpid())
    assert own is not None
    stranger = statefile.LabState("http://127.0.0.1:1", "t", os.getpid(), 0, process_started=own - 1)
    assert not stranger.is_alive()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"control": 1}', json.dumps({"pid": "x"})])
def test_a_file_that_is_no_state_is_none(content: str) -> None:
    statefile.path().parent.mkdir()
    statefile.path().write_text(content)
    assert statefile.read() is None
    assert statefile.claim(statefile.this_process("http://127.0.0.1:8500", "s")) is None


def test_without_a_runtime_directory_it_is_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert statefile.path() == tmp_path / ".local" / "state" / "badgateway" / "lab.json"
