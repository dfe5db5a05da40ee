"""What a benchmark reports: a figure of one or more rows, as table, JSON or Markdown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Effort:
    """How long to measure. The README quotes ``FULL``; ``QUICK`` only shows that everything runs."""

    rounds: int
    seconds: float
    starts: int
    body_bytes: int
    held: int


FULL = Effort(rounds=5, seconds=4.0, starts=5, body_bytes=1 << 30, held=2000)
QUICK = Effort(rounds=2, seconds=1.0, starts=2, body_bytes=64 << 20, held=200)


@dataclass(frozen=True)
class Row:
    """One measured value beside what issue it has to meet.

    ``held`` is None where there is no target, or where the value could not be measured here.
    """

    what: str
    value: str
    target: str = ""
    held: bool | None = None


@dataclass(frozen=True)
class Figure:
    """One benchmark's outcome: ``how`` says in a sentence what was done, ``data`` holds every raw reading."""

    name: str
    title: str
    how: str
    rows: Sequence[Row]
    data: Mapping[str, Any] = field(default_factory=dict)


class NotMeasurableError(Exception):
    """Something that the figure needs is missing here; the message says what, and how to get it."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0..1) of the values do not exceed (nearest rank).

    Raises ValueError for no values.
    """
    if not values:
        raise ValueError("no values, so no percentile")
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * round(share * 10_000) // 10_000))
    return ordered[min(rank, len(ordered)) - 1]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest, for the JSON."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


_MARKS = {True: "✓", False: "✗", None: ""}


def print_table(console: Console, figures: Sequence[Figure]) -> None:
    """A table for a person; a missed target is red."""
    table = Table(title="badgateway, measured here")
    for column in ("figure", "what", "measured", "target", ""):
        table.add_column(column, overflow="fold")
    for figure in figures:
        for number, row in enumerate(figure.rows):
            style = "red" if row.held is False else None
            title = figure.name if number == 0 else ""
            table.add_row(title, row.what, row.value, row.target, _MARKS[row.held], style=style)
        table.add_section()
    console.print(table)
    for figure in figures:
        console.print(f"[bold]{figure.name}[/]: {figure.how}", highlight=False)


def markdown(figures: Sequence[Figure], machine: Mapping[str, object]) -> str:
    """The README's table, with the machine that the figures are from; figures without any target are folded away."""
    aimed = [figure for figure in figures if any(row.target for row in figure.rows)]
    lines = ["| what | measured | target |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.value} | {row.target} |" for figure in aimed for row in figure.rows]
    for figure in figures:
        if figure not in aimed:
            lines += ["", "<details>", f"<summary>{figure.title}</summary>", "", "| what | measured |", "|---|---|"]
            lines += [*(f"| {row.what} | {row.value} |" for row in figure.rows), "", figure.how, "", "</details>"]
    facts = f"{machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, Linux {machine['kernel']}"
    return "\n".join([*lines, "", f"Measured {machine['date']} on {facts}. Again on yours: `make bench`."])


def write_json(path: Path, figures: Sequence[Figure], machine: Mapping[str, object]) -> None:
    """All readings and the machine's facts, for a later comparison. Makes the folder if it is absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": dict(machine), "figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")
