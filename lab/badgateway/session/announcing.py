"""What `badgateway up` prints: where everything listens, then what happens; for people or, as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from badgateway.chain.events import Event
from badgateway.control.statefile import LabState
from badgateway.terminal import picture
from badgateway.terminal.eventlines import Line, Throttle, line_of, told_otherwise
from badgateway.terminal.screen import console, is_terminal

TRY: Final = (
    ("badgateway request /products", "see what each hop saw, and who decided"),
    ("badgateway fault set app hang --for 30s", "break it; then send the request again"),
    ("badgateway explain 504", "what it means, and who sends it"),
)


@dataclass(frozen=True)
class Ready:
    """A chain that is ready. `url`: the outermost hop; `nodes` as `GET /api/chain` has them."""

    url: str
    urls: Mapping[str, str]
    nodes: Sequence[Mapping[str, Any]]
    state: LabState

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints first, and what the ready file holds."""
        return {
            "url": self.url,
            "urls": dict(self.urls),
            "control": self.state.control,
            "token": self.state.token,
            "pid": self.state.pid,
            "nodes": [dict(node) for node in self.nodes],
        }


class Announcer(Protocol):
    """Says that a chain is ready and, if it `narrates`, what happens then."""

    @property
    def narrates(self) -> bool:
        """Whether `narrate` is to be called: hops send their events only while somebody listens."""

    def announce(self, ready: Ready) -> None:
        """Say where everything listens."""

    async def narrate(self, events: AsyncIterator[Event]) -> None:
        """Say what happens, until there is no more."""


@dataclass(frozen=True)
class AsJson:
    """One JSON object a line: `{"event": "ready", …}`, then each event."""

    narrates: bool = True

    def announce(self, ready: Ready) -> None:
        """Print the line of kind `ready`."""
        click.echo(json.dumps({"event": "ready", **ready.to_json()}))

    async def narrate(self, events: AsyncIterator[Event]) -> None:
        """Print each event as `{"event": kind, "node": …, "time": …, "data": …}`."""
        async for event in events:
            told = event.to_json()
            click.echo(json.dumps({"event": told.pop("kind"), **told}))


@dataclass(frozen=True)
class AsText:
    """For people: a picture where there is a terminal, plain lines where there is none."""

    narrates: bool = True

    def announce(self, ready: Ready) -> None:
        """Print the chain, its addresses, the token, and what to try."""
        facts = [*((str(node["name"]), _where(node)) for node in ready.nodes)]
        facts.append(("control", f"{ready.state.control}  token {ready.state.token}"))
        row = picture.boxes(None, ready.nodes)
        if is_terminal():
            screen = console()
            screen.print(Padding(picture.drawing(row), (1, 0, 1, 2)))
            _table(screen, facts)
            screen.print()
            _table(screen, TRY)
            screen.print(Text("\n  Ctrl-C ends it.\n", style="dim"))
            return
        click.echo(picture.line(row))
        for name, what in facts:
            click.echo(f"{name:<8} {what}")
        for command, what in TRY:
            click.echo(f"try: {command}  ({what})")
        click.echo("ready")

    async def narrate(self, events: AsyncIterator[Event]) -> None:
        """Print one line per event."""
        throttle = Throttle()
        screen = console() if is_terminal() else None
        async for event in events:
            if told_otherwise(event):
                continue
            line = line_of(event)
            shown, held_back = throttle.admit(line.time)
            if held_back:
                _say(screen, Line(line.time, "…", f"and {held_back} more events in that second"))
            if shown:
                _say(screen, line)


def _where(node: Mapping[str, Any]) -> str:
    pid = f"pid {node['pid']}" if node.get("pid") else ""
    return f"{node['url']}  {pid}".rstrip()


def _table(screen: Console, rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(left) for left, _ in rows)
    for left, right in rows:
        screen.print(Text.assemble("  ", (f"{left:<{width}}", "bold cyan"), "  ", right), soft_wrap=True)


def _say(screen: Console | None, line: Line) -> None:
    if screen is None:
        click.echo(str(line))
    else:
        screen.print(Text(str(line), style=line.style), soft_wrap=True)
