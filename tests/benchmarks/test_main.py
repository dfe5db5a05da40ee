"""`python -m benchmarks` as a whole: what it says, writes and leaves behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )


def test_an_unknown_figure_is_refused_with_the_names_that_there_are() -> None:
    done = bench("thoughput")
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("throughput", "ready", "body", "held"))


@pytest.mark.slow
def test_a_figure_is_measured_printed_and_kept(tmp_path: Path) -> None:
    done = bench("body", "--quick", "--markdown", "--results", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("| what | measured | target |\n|---|---|---|\n| 64 MiB through one hop (response,")
    (kept,) = tmp_path.glob("*.json")
    document = json.loads(kept.read_text(encoding="utf-8"))
    assert document["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    passages = document["figures"][0]["data"].values()
    assert {passage["bytes"] for passage in passages} == {64 << 20}
