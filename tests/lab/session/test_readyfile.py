import json
import stat
from pathlib import Path

import pytest

from badgateway.chain.errors import EnvironmentProblem
from badgateway.session.readyfile import ReadyFile


def test_it_is_there_whole_for_its_owner_only_and_then_gone(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text("of an earlier chain")
    file = ReadyFile(path)
    file.write({"url": "http://127.0.0.1:1"})
    assert json.loads(path.read_text()) == {"url": "http://127.0.0.1:1"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"--ready-file .*nowhere.*: No such file or directory"):
        ReadyFile(tmp_path / "nowhere" / "ready.json").write({})
