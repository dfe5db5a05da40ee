"""`badgateway list`: the scenarios that come with it."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table
from rich.text import Text

from badgateway.scenario import catalogue
from badgateway.scenario.catalogue import ScenarioEntry
from badgateway.terminal.codes import by_code, heading
from badgateway.terminal.screen import console, is_terminal


@click.command(
    epilog="""\b
Examples:
  badgateway list
  badgateway list 504
  badgateway list --json
"""
)
@click.argument("words", metavar="[CODE|ID|PATH]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON: id, title, code, causes, path.")
def command(words: tuple[str, ...], as_json: bool) -> None:
    """List the scenarios by code: all, or those of a code, a directory, an id."""
    chosen = [entry for path in catalogue.select(words) if (entry := catalogue.entry_of(path))] if words else None
    entries = catalogue.entries() if chosen is None else chosen
    if as_json:
        click.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
    elif is_terminal():
        _draw(entries)
    else:
        width = max((len(entry.id) for entry in entries), default=0)
        for code, members in by_code(entries):
            click.echo(heading(code))
            for entry in members:
                click.echo(f"  {entry.id:<{width}}  {entry.title}  [{', '.join(entry.causes)}]")


def _as_json(entry: ScenarioEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "title": entry.title,
        "code": entry.code,
        "causes": list(entry.causes),
        "path": str(entry.path),
    }


def _draw(entries: list[ScenarioEntry]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("scenario", "title", "causes"):
        table.add_column(column, overflow="fold")
    for code, members in by_code(entries):
        table.add_row(Text(heading(code), style="bold red"))
        for entry in members:
            table.add_row(Text(f"  {entry.id}", style="bold"), entry.title, Text(", ".join(entry.causes), "cyan"))
        table.add_section()
    screen = console()
    screen.print(table)
    screen.print(
        f"{len(entries)} scenarios. `badgateway show ID` tells the story, `badgateway run ID` makes it happen."
    )
