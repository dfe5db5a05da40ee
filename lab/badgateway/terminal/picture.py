"""The chain as a picture: one box a tier, what each answered, and the hop that decided marked.

A picture is worked out first (`boxes`), from the joined trace of one request and what the processes are doing;
then drawn, as rich panels (`drawing`) or as one plain line (`line`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rich import box as frames
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from badgateway.chain.traces import APP, FROM_STORE

TIERS = {"client": "you", "cdn": "CDN", "lb": "LB", "app": "app"}


class TraceLike(Protocol):
    """What a picture needs to know of one request's way through the chain (`badgateway.chain.traces.Trace` has it)."""

    @property
    def hops(self) -> Sequence[Mapping[str, Any]]:
        """Exchange records, outermost hop first."""

    @property
    def app(self) -> Sequence[Mapping[str, Any]]:
        """What the instances recorded of it."""

    @property
    def firings(self) -> Sequence[Mapping[str, Any]]:
        """The faults that fired on it."""

    @property
    def decided_by(self) -> str:
        """Who generated the response."""

    @property
    def error(self) -> str | None:
        """The RFC 9209 error type, if a hop decided."""


@dataclass(frozen=True)
class Box:
    """One tier in the picture."""

    tier: str
    name: str
    lines: tuple[str, ...] = ()
    status: int | None = None
    decided: bool = False
    broken: bool = False
    reached: bool = True


def boxes(trace: TraceLike | None, nodes: Sequence[Mapping[str, Any]], *, request: str = "") -> list[Box]:
    """The boxes of the chain, the client's first.

    Args:
        trace: one request's way through the chain; None draws the chain at rest.
        nodes: as `GET /api/chain` describes them: name, tier, kind, state, exit, breaker.
        request: method and path, for the client's box.
    """
    hops = [node for node in nodes if node["kind"] == "hop"]
    instances = [node for node in nodes if node["kind"] == "instance"]
    records = {record["hop"]: record for record in trace.hops} if trace else {}
    row = [_hop_box(node, records.get(node["name"]), trace) for node in hops]
    row.append(_app_box(instances, trace))
    client = Box("client", "you", _client_lines(trace, request), status=row[0].status if trace else None)
    return [client, *_mark_unreached(row, at_rest=trace is None)]


def _client_lines(trace: TraceLike | None, request: str) -> tuple[str, ...]:
    outermost = next(iter(trace.hops), {}) if trace else {}
    got = [f"got {outermost.get('status') or 'nothing'}"] if trace else []
    return tuple(filter(None, [request, *got, "✗ cut short" if outermost.get("truncated") else ""]))


def _hop_box(node: Mapping[str, Any], record: Mapping[str, Any] | None, trace: TraceLike | None) -> Box:
    name, tier = str(node["name"]), str(node["tier"])
    trouble = process_trouble(node)
    if record is None:
        lines = [trouble] if trouble else ["never saw it"] if trace else ["ready"]
        return Box(tier, name, (*lines, *_breaker_line(node)), broken=bool(trouble), reached=trace is None)
    status = record.get("status")
    decided = trace is not None and trace.decided_by == name
    cache = record.get("cache")
    verb = "answered" if record.get("generated") or cache in FROM_STORE else "relayed"
    lines = [f"{verb} {status if status is not None else 'nothing'}"]
    if cache is not None:
        lines.append(f"cache {cache}")
    if record.get("error"):
        lines.append(str(record["error"]))
    if record.get("truncated"):
        lines.append("and cut it short")
    return Box(
        tier,
        name,
        (*lines, *([trouble] if trouble else []), *_breaker_line(record)),
        status=status,
        decided=decided,
        broken=bool(trouble),
    )


def _breaker_line(holder: Mapping[str, Any]) -> list[str]:
    state = holder.get("breaker")
    if isinstance(state, Mapping):
        state = state.get("state")
    return [f"breaker {str(state).replace('_', '-')}"] if state not in {None, "closed", "disabled"} else []


def _app_box(instances: Sequence[Mapping[str, Any]], trace: TraceLike | None) -> Box:
    firings = list(trace.firings) if trace else []
    seen = list(trace.app) if trace else []
    lines, broken, status = [], False, None
    for node in instances:
        name = str(node["name"])
        kinds = [str(firing["kind"]) for firing in firings if firing.get("instance") == name]
        requests = [record for record in seen if record.get("instance") == name]
        trouble = process_trouble(node)
        answers = [record["status"] for record in requests if record.get("status")]
        broken = broken or bool(kinds or trouble)
        if answers and not kinds:
            status = answers[-1]
        lines.append(f"{name} {trouble or _instance_words(kinds, answers, requests, at_rest=trace is None)}")
    reached = trace is None or bool(seen or firings)
    decided = trace is not None and trace.decided_by == APP
    return Box("app", "app", tuple(lines), status=status, decided=decided, broken=broken, reached=reached)


def _instance_words(
    kinds: Sequence[str], answers: Sequence[int], requests: Sequence[Mapping[str, Any]], *, at_rest: bool
) -> str:
    if kinds:
        return f"✗ {', '.join(dict.fromkeys(kinds))}"
    if answers:
        return f"answered {answers[-1]}"
    if requests:
        return "saw it, no answer"
    return "ready" if at_rest else "idle"


def process_trouble(node: Mapping[str, Any]) -> str:
    """What is wrong with a process, in a word or two; empty when it runs."""
    state = str(node.get("state", "running"))
    if state == "running":
        return ""
    if state == "exited":
        return "✗ killed" if "SIGKILL" in str(node.get("exit")) else "✗ not running"
    return {"frozen": "✗ frozen", "starting": "… starting"}.get(state, f"✗ {state}")


def _mark_unreached(row: list[Box], *, at_rest: bool) -> Iterable[Box]:
    """A tier behind one that never got the request was not reached either."""
    reached = True
    for box in row:
        reached = reached and (at_rest or box.reached)
        yield replace(box, reached=reached)


def line(row: Sequence[Box]) -> str:
    """The picture as one plain line, the deciding tier in double brackets."""
    return " → ".join(_words(box) for box in row)


def _words(box: Box) -> str:
    if box.tier == "client":
        return "you"
    said = ", ".join(text.replace("✗ ", "") for text in box.lines)
    if box.decided:
        return f"[[ {box.name} DECIDED: {said} ]]"
    return f"{box.name} ({said})" if said else box.name


def drawing(row: Sequence[Box]) -> RenderableType:
    """The picture as rich panels, side by side; the deciding tier has a heavy frame and says so."""
    grid = Table.grid(padding=0)
    cells: list[RenderableType] = []
    for index, box in enumerate(row):
        if index:
            grid.add_column(vertical="middle", width=3)
            cells.append(Text("─▶ " if box.reached else "─✗ ", style="dim" if box.reached else "red"))
        grid.add_column(vertical="middle")
        cells.append(_panel(box))
    grid.add_row(*cells)
    return grid


def _panel(box: Box) -> RenderableType:
    style = status_style(box.status) if box.decided or box.tier == "client" else "dim"
    if box.broken and not box.decided:
        style = "red"
    body = Text("\n", overflow="fold").join(Text(text, style=_line_style(text, box)) for text in box.lines)
    return Panel(
        body,
        title=Text(TIERS.get(box.tier, box.name), style="bold"),
        subtitle=Text(" ◀ DECIDED ", style=f"reverse bold {style}") if box.decided else None,
        box=frames.HEAVY if box.decided else frames.ROUNDED,
        border_style=f"bold {style}" if box.decided else style,
        expand=False,
        padding=(0, 1),
    )


def _line_style(text: str, box: Box) -> str:
    if text.startswith("got "):
        return f"bold {status_style(box.status)}"
    return "red" if "✗" in text else ""


def status_style(status: int | None) -> str:
    """The colour of a status code: green 2xx, cyan 3xx, yellow 4xx, red 5xx and no answer at all."""
    if status is None:
        return "red"
    return {1: "cyan", 2: "green", 3: "cyan", 4: "yellow"}.get(status // 100, "red")
