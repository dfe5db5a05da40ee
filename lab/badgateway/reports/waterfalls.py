"""The waterfall of one exchange as HTML: every attempt of every hop on one axis, as a terminal has it."""

from __future__ import annotations

from html import escape

from badgateway.running.results import TraceLike
from badgateway.terminal.reasons import why
from badgateway.terminal.waterfall import PHASES, SHOWN, Row, rows

_WIDTH = 400
_WORDS = {"wait": "wait for the head", "work": "the app at work"}

LEGEND = "".join(
    f'<span><i class="{phase}"></i>{_WORDS.get(phase, phase)}</span>' for phase in PHASES if phase != "backoff"
)
"""What the colours of the bars mean."""


def waterfall(trace: TraceLike) -> str:
    """The rows, who decided and why, and the legend; empty if no hop recorded anything."""
    drawn = rows(trace, {})
    if not drawn:
        return ""
    total = max(row.end for row in drawn)
    more = len(drawn) - SHOWN
    lines = "".join(_row(row, total) for row in drawn[:SHOWN])
    rest = f"<tr><td colspan=3>… and {more} more attempts</tr>" if more > 0 else ""
    return f'<table class="fall">{lines}{rest}</table><p>{escape(why(trace))}</p><div class="legend">{LEGEND}</div>'


def _row(row: Row, total: float) -> str:
    at, bars = row.start, []
    for phase, length in row.phases:
        if length > 0:
            left, width = at / total * _WIDTH, max(1.0, length / total * _WIDTH)
            bars.append(f'<rect class="{phase}" x="{left:.1f}" y="0" width="{width:.1f}" height="14"/>')
        at += length
    note = f"<br><code>{escape(row.note)}</code>" if row.note else ""
    outcome = f'<span class="{"failed" if row.failed else ""}">{escape(row.outcome)}</span>{note}'
    bar = f'<svg viewBox="0 0 {_WIDTH} 14" preserveAspectRatio="none">{"".join(bars)}</svg>' if total > 0 else ""
    return f"<tr><td>{escape(row.label)}<td>{bar}<td>{outcome}</tr>"
