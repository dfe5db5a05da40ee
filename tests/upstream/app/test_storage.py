"""Where the app's files go."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from badgateway_upstream.app.storage import Storage


def test_what_is_spooled_is_read_back_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert Storage().spool(b"a report") == b"a report"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("namespaces", [True, False])
def test_a_full_disk_and_an_empty_one(namespaces: bool) -> None:
    storage = Storage()
    evidence = storage.fill(namespaces=namespaces)
    assert "tmpfs of 65536 bytes, of which 65536 are written and 0 are free" in evidence or "/dev/full, as" in evidence
    with pytest.raises(OSError, match="No space left on device"):
        storage.spool(b"a report")
    assert storage.fill().endswith("full already")
    storage.empty()
    storage.empty()
    assert storage.spool(b"a report") == b"a report"
