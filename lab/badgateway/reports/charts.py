"""Charts of a load as SVG: what the answers were, how long they took, and what was done meanwhile.

Pure: from requests and moments to text. Colours are CSS classes of the page (`style`), so that they follow its theme.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from badgateway.running.measuring import percentile
from badgateway.running.observations import Observation
from badgateway.running.results import Moment, WindowResult

WIDTH: Final = 860
LEFT: Final = 56
"""Room for the axis' labels, in pixels as the rest."""
_RIGHT, _PLOT, _ROW = 12, 140, 15

_BUCKETS: Final = 60
"""At most so many columns."""

_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)


def kind_of(seen: Observation) -> str:
    """What the answer was, as the legend has it: `200`, `504`, `cut short`, `no response`."""
    if seen.truncated:
        return "cut short"
    return "no response" if seen.status is None else str(seen.status)


def css_class(kind: str) -> str:
    """The class that a kind of answer is coloured by."""
    if not kind.isdigit():
        return kind.replace(" ", "-")
    return f"s{kind}" if kind in ("500", "502", "503", "504") else f"s{kind[0]}xx"


def answers_chart(observations: Sequence[Observation], moments: Sequence[Moment]) -> str:
    """Requests by when they were due, stacked by what became of them."""
    axis = _Axis(observations)
    columns: list[Counter[str]] = [Counter() for _ in range(axis.buckets)]
    for seen in observations:
        columns[axis.bucket(seen)][kind_of(seen)] += 1
    most = max(sum(column.values()) for column in columns)
    top, scale = _head_room(moments), _PLOT / most
    parts = list(_moments(moments, axis, top))
    kinds = sorted({kind for column in columns for kind in column})
    width = axis.x(axis.step) - axis.x(0)
    for number, column in enumerate(columns):
        base = top + _PLOT
        for kind in kinds:
            height = column[kind] * scale
            if not height:
                continue
            base -= height
            share = f"{column[kind]} of {sum(column.values())}: {kind}"
            parts.append(
                f'<rect class="{css_class(kind)}" x="{axis.x(number * axis.step):.1f}" y="{base:.1f}" '
                f'width="{max(1.0, width - 1):.1f}" height="{height:.1f}"><title>{escape(share)}</title></rect>'
            )
    ticks = [(top + _PLOT, "0"), (top, f"{most / axis.step:.0f}/s")]
    return _svg("Requests by what became of them", top, axis, [*parts, *_levels(ticks)])


def latency_chart(observations: Sequence[Observation], moments: Sequence[Moment]) -> str:
    """Median and 95th percentile of the latency by when requests were due, on a logarithmic scale."""
    axis = _Axis(observations)
    columns: list[list[float]] = [[] for _ in range(axis.buckets)]
    for seen in observations:
        columns[axis.bucket(seen)].append(max(seen.latency, 1e-4))
    low = math.floor(math.log10(min(min(column) for column in columns if column)))
    high = math.ceil(math.log10(max(max(column) for column in columns if column)) + 1e-9)
    top = _head_room(moments)

    def y(value: float) -> float:
        return top + _PLOT * (high - math.log10(value)) / max(1, high - low)

    parts = list(_moments(moments, axis, top))
    for name, rank in (("p95", 95.0), ("p50", 50.0)):
        points = [
            f"{axis.x((number + 0.5) * axis.step):.1f},{y(percentile(sorted(column), rank)):.1f}"
            for number, column in enumerate(columns)
            if column
        ]
        parts.append(f'<polyline class="line {name}" points="{" ".join(points)}"><title>{name}</title></polyline>')
    ticks = [(y(10.0**power), _time(10.0**power)) for power in range(low, high + 1)]
    return _svg("Latency, from when a request was due", top, axis, [*parts, *_levels(ticks)])


def windows_strip(windows: Sequence[WindowResult], last: float) -> str:
    """The windows of the expectations below the charts, on the same axis, each held or not.

    Args:
        windows: what was expected.
        last: when the last request was due.
    """
    scale = (WIDTH - LEFT - _RIGHT) / max(last, 1e-9)
    rows = []
    for number, window in enumerate(windows):
        low, right = window.low, min(last, last if window.high is None else window.high)
        y, verdict = number * _ROW, "held" if window.check.held else "failed"
        rows.append(
            f'<rect class="window {verdict}" x="{LEFT + low * scale:.1f}" y="{y + 3}" rx="3" '
            f'width="{max(2.0, (right - low) * scale):.1f}" height="{_ROW - 4}">'
            f"<title>{escape(f'{window.window} {window.check.name}: {verdict}')}</title></rect>"
        )
    height = _ROW * len(windows)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Expectations">{"".join(rows)}</svg>'


class _Axis:
    """Time, in columns of `step` seconds."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        self.last = max(1e-3, *(seen.intended for seen in observations))
        self.step = next((step for step in _STEPS if self.last / step < _BUCKETS), _STEPS[-1])
        self.buckets = int(self.last / self.step) + 1
        self.end = self.buckets * self.step

    def bucket(self, seen: Observation) -> int:
        return min(self.buckets - 1, max(0, int(seen.intended / self.step)))

    def x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - _RIGHT) * min(seconds, self.end) / self.end

    def ticks(self) -> Iterator[float]:
        wanted = self.end / 8
        step = next((step for step in _STEPS if step >= wanted), _STEPS[-1])
        return (number * step for number in range(int(self.end / step) + 1))


def _head_room(moments: Sequence[Moment]) -> float:
    return 10 + _ROW * len(moments)


def _moments(moments: Sequence[Moment], axis: _Axis, top: float) -> Iterator[str]:
    """What was done, from when it was done until it was over, each with a line of words above the plot."""
    for number, moment in enumerate(moments):
        left = axis.x(moment.at)
        right = left if moment.until is None else axis.x(moment.until)
        y = _ROW * (number + 1)
        size = f'width="{right - left:.1f}" height="{top + _PLOT - y + 9}"'
        yield f'<rect class="span" x="{left:.1f}" y="{y - 9}" {size}/>'
        yield f'<line class="moment" x1="{left:.1f}" x2="{left:.1f}" y1="{y - 9}" y2="{top + _PLOT}"/>'
        side, dx = ("end", -4) if left > WIDTH * 0.7 else ("start", 4)
        words = escape(f"{moment.title}, {_time(moment.at)}")
        yield f'<text class="moment" x="{left + dx:.1f}" y="{y}" text-anchor="{side}">{words}</text>'


def _levels(ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
    for y, label in ticks:
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'


def _svg(title: str, top: float, axis: _Axis, parts: Sequence[str]) -> str:
    below = top + _PLOT + 16
    marks = "".join(
        f'<text x="{axis.x(at):.1f}" y="{below:.1f}" text-anchor="middle">{_time(at)}</text>' for at in axis.ticks()
    )
    label = escape(title)
    return (
        f'<figure><figcaption>{label}</figcaption><svg viewBox="0 0 {WIDTH} {below + 6:.0f}" role="img" '
        f'aria-label="{label}">{"".join(parts)}{marks}</svg></figure>'
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if 0 < seconds < 1 else f"{round(seconds, 2):g} s"
