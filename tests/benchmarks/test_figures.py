"""Percentiles, and the three forms in which figures come out."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.figures import Figure, Row, markdown, percentile, print_table, spread, write_json

MACHINE = {"cores": 2, "cpu": "A CPU", "python": "3.11.7", "kernel": "6.1", "date": "2026-01-31"}
FIGURES = [
    Figure(
        "first",
        "First",
        "how it was done",
        [Row("speed", "0.41", "≥ 0.30", held=True), Row("… alone", "9/s")],
    ),
    Figure("second", "Second", "", [Row("memory", "20 MiB", "< 16 MiB", held=False)], {"raw": [1, 2]}),
]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)],
    ids=str,
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_markdown_is_the_readme_s_table() -> None:
    assert markdown(FIGURES, MACHINE).splitlines() == [
        "| what | measured | target |",
        "|---|---|---|",
        "| speed | 0.41 | ≥ 0.30 |",
        "| … alone | 9/s |  |",
        "| memory | 20 MiB | < 16 MiB |",
        "",
        "Measured 2026-01-31 on 2 cores of A CPU, Python 3.11.7, Linux 6.1. Again on yours: `make bench`.",
    ]


def test_the_table_marks_what_held_and_what_did_not() -> None:
    out = io.StringIO()
    print_table(Console(file=out, width=100), FIGURES)
    lines = out.getvalue().splitlines()
    assert any("speed" in line and "✓" in line for line in lines)
    assert any("memory" in line and "✗" in line for line in lines)
    assert "first: how it was done" in lines


def test_json_keeps_every_reading_and_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "made" / "results.json"
    write_json(path, FIGURES, MACHINE)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["machine"]["cpu"] == "A CPU"
    assert document["figures"][1]["data"] == {"raw": [1, 2]}
    assert document["figures"][0]["rows"][0] == {
        "what": "speed",
        "value": "0.41",
        "target": "≥ 0.30",
        "held": True,
    }


def test_figures_without_a_target_are_folded_away() -> None:
    lines = markdown([Figure("beside", "Beside", "how", [Row("cost", "9 ns")]), *FIGURES], MACHINE).splitlines()
    assert lines[2] == "| speed | 0.41 | ≥ 0.30 |"
    folded = lines[lines.index("<details>") : lines.index("</details>") + 1]
    assert "<summary>Beside</summary>" in folded
    assert "| cost | 9 ns |" in folded
    assert lines.count("| cost | 9 ns |") == 1
