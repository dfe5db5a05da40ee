"""Attempts and phases of one request as a waterfall: who waited for whom, how long, in which phase.

Every attempt of every hop is one row on one common axis of real time; what an instance did is a row too. A row is
worked out first (`rows`), then drawn in colour (`drawing`) or in letters (`lines`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from badgateway.terminal.picture import TraceLike
from badgateway.terminal.screen import seconds, shortened

PHASES: dict[str, tuple[str, str, str]] = {
    "connect": ("c", "▚", "magenta"),
    "backoff": ("b", " ", "dim"),
    "send": ("s", "▞", "blue"),
    "wait": ("w", "─", "yellow"),
    "receive": ("r", "█", "green"),
    "work": ("a", "▒", "cyan"),
}
"""Each phase: its letter in plain lines, its glyph and its colour on a terminal. `work` is the app's own time."""

_CACHED = {
    "hit": "from its cache",
    "stale": "stale, from its cache",
    "collapsed": "fetched by another request",
}
"""What a record without attempts of its own says of its cache."""

LEGEND = "c connect, s send, w wait for the head, r receive, a the app at work"
WIDTH = 40
SHOWN = 12
"""Rows drawn at most: a request that was retried fifty times is told, not painted."""


@dataclass(frozen=True)
class Row:
    """One attempt (or an instance's work): when it started, its phases, how it ended.

    `start` and the phases' lengths are seconds; `start` counts from the start of the outermost exchange.
    """

    label: str
    start: float
    phases: tuple[tuple[str, float], ...]
    outcome: str
    failed: bool = False
    note: str = ""

    @property
    def end(self) -> float:
        """Seconds from the start of the outermost exchange to the end of this row."""
        return self.start + sum(length for _, length in self.phases)


def rows(trace: TraceLike, names: Mapping[str, str]) -> list[Row]:
    """The rows of one request, outermost hop first.

    Args:
        trace: the request's way through the chain.
        names: what listens where, `{"127.0.0.1:9001": "app-1"}`; what is not in it is worked out from the trace.
    """
    if not trace.hops:
        return []
    names = {**_names_in(trace), **names}
    zero = min(float(record["started"]) for record in trace.hops)
    drawn = [row for record in trace.hops for row in _hop_rows(record, zero, names)]
    return [*drawn, *(_app_row(record, zero) for record in trace.app)]


def _names_in(trace: TraceLike) -> dict[str, str]:
    """What the trace itself tells of who listens where: a hop's endpoint is the next hop, the last one's the app."""
    names = {
        str(attempt["endpoint"]): str(inner["hop"])
        for outer, inner in pairwise(trace.hops)
        for attempt in outer.get("attempts") or ()
    }
    last = list(trace.hops[-1].get("attempts") or [])
    if len(trace.app) == len(last) == 1:
        names[str(last[0]["endpoint"])] = str(trace.app[0].get("instance", "app"))
    return names


def _hop_rows(record: Mapping[str, Any], zero: float, names: Mapping[str, str]) -> Iterator[Row]:
    hop, start = str(record["hop"]), float(record["started"]) - zero
    attempts = record.get("attempts") or []
    if not attempts:
        words = _outcome(record) or "answered by itself"
        words += f", {_CACHED[cache]}" if (cache := str(record.get("cache"))) in _CACHED else ", no attempt made"
        yield Row(f"{hop} → nobody", start, (), words, failed=bool(record.get("error")))
    waited = f", after {seconds(float(record['queued']))} in line" if record.get("queued") else ""
    unrepeated = f"; no retry: {record['not_retried']}" if record.get("not_retried") else ""
    for number, attempt in enumerate(attempts, start=1):
        target = names.get(str(attempt["endpoint"]), str(attempt["endpoint"]))
        ordinal = f" #{number}" if len(attempts) > 1 else ""
        phases = tuple((name, float(attempt["phases"].get(name) or 0)) for name in PHASES if name in attempt["phases"])
        failed = bool(attempt.get("error"))
        first_bytes = attempt.get("first_bytes")
        yield Row(
            f"{hop} → {target}{ordinal}",
            start + float(attempt["started"]),
            phases,
            _attempt_outcome(attempt, sum(length for _, length in phases))
            + (waited if number == 1 else "")
            + (unrepeated if number == len(attempts) else ""),
            failed=failed,
            # of a response that began well they only repeat its head
            note=f"first bytes: {shortened(first_bytes)}" if first_bytes and not attempt.get("status") else "",
        )

    if attempts and record.get("cache") == "stale":
        end = float(record.get("duration") or 0)
        yield Row(f"{hop} → nobody", start + end, (), f"{record.get('status')}, {_CACHED['stale']} after all")


def _attempt_outcome(attempt: Mapping[str, Any], length: float) -> str:
    words = _outcome(attempt)
    if not words and attempt.get("details"):
        return f"{attempt['details']}, {seconds(length)}"
    if not words:
        return f"broken off in {attempt.get('phase')}, {seconds(length)}"
    if attempt.get("error"):
        return f"{words} in {attempt.get('phase')}, {seconds(length)}"
    return f"{words}, {seconds(length)}{', reused' if attempt.get('reused') else ''}"


def _outcome(record: Mapping[str, Any]) -> str:
    status, error = record.get("status"), record.get("error")
    if error and status and record.get("generated") is None:
        return f"{status}, then {error}"
    return str(error or status or "")


def _app_row(record: Mapping[str, Any], zero: float) -> Row:
    firings = record.get("firings") or []
    duration = float(record.get("duration") or 0)
    status = record.get("status")
    words = str(status) if status else "no answer"
    if firings:
        words += f", fault {', '.join(map(str, firings))}"
    start = max(0.0, float(record["started"]) - zero)
    return Row(str(record.get("instance", "app")), start, (("work", duration),), words, failed=bool(firings))


def cells(row: Row, total: float, width: int = WIDTH) -> list[str | None]:
    """The row's bar: for each of `width` cells the phase that fills it, or None.

    Boundaries are rounded once, cumulatively, so bars of one waterfall line up; what took any time at all gets at
    least one cell (that of the phase it ended in).
    """
    bar: list[str | None] = [None] * width
    if total <= 0 or not row.phases:
        return bar
    edges, at = [], row.start
    for _, length in row.phases:
        edges.append(at)
        at += length
    columns = [min(width, round(edge / total * width)) for edge in [*edges, at]]
    for (name, _), (left, right) in zip(row.phases, pairwise(columns), strict=True):
        bar[left:right] = [name] * (right - left)
    if all(cell is None for cell in bar):
        last = next((name for name, length in reversed(row.phases) if length > 0), row.phases[-1][0])
        bar[min(width - 1, columns[0])] = last
    return bar


def _scaled(trace: TraceLike, names: Mapping[str, str]) -> tuple[list[Row], float, int]:
    drawn = rows(trace, names)
    longest = [float(record.get("duration") or 0) for record in trace.hops[:1]]
    total = max([row.end for row in drawn[:SHOWN]] + longest, default=0.0)
    return drawn[:SHOWN], total, len(drawn) - SHOWN


def lines(trace: TraceLike, names: Mapping[str, str], *, width: int = WIDTH) -> list[str]:
    """The waterfall in letters, one line a row: `lb → app-1  |.swwwwwww|  http_response_timeout in wait, 800 ms`."""
    drawn, total, more = _scaled(trace, names)
    label = max((len(row.label) for row in drawn), default=0)
    out = []
    for row in drawn:
        bar = "".join(PHASES[cell][0] if cell else "." for cell in cells(row, total, width))
        out.append(f"{row.label:<{label}} |{bar}| {row.outcome}")
        if row.note:
            out.append(f"{'':<{label}}  {row.note}")
    if more > 0:
        out.append(f"… and {more} more attempts")
    return out


def drawing(trace: TraceLike, names: Mapping[str, str], *, width: int = WIDTH) -> RenderableType:
    """The waterfall for a terminal, the axis above it."""
    drawn, total, more = _scaled(trace, names)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, width=width)
    grid.add_column(overflow="fold")
    end = seconds(total)
    grid.add_row("", Text(f"0{end:>{width - 1}}", style="dim"), "")
    for row in drawn:
        bar = Text()
        for cell in cells(row, total, width):
            _, glyph, colour = PHASES[cell] if cell else ("", "·", "bright_black")
            bar.append(glyph, style=colour)
        outcome = Text(row.outcome, style="red" if row.failed else "")
        if row.note:
            outcome.append(f"\n{row.note}", style="bold yellow")
        grid.add_row(Text(row.label), bar, outcome)
    if more > 0:
        grid.add_row("", Text(f"… and {more} more attempts", style="dim"), "")
    return grid


def fitting(columns: int) -> int:
    """How wide the bars may be on a screen of so many columns, and still leave room for words."""
    return max(16, min(WIDTH, columns - 60))


def legend() -> RenderableType:
    """What the colours mean, as one line."""
    words = {"wait": "wait for the head", "work": "the app at work"}
    text = Text("phases: ", style="dim")
    for name, (_, glyph, colour) in PHASES.items():
        if glyph.strip():
            text.append(f"{glyph * 2} ", style=colour).append(f"{words.get(name, name)}  ", style="dim")
    return text
