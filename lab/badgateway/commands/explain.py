"""`badgateway explain`: what a status code or an error type means, who sends it, whether to retry."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from badgateway.scenario import catalogue
from badgateway.terminal.codes import KNOWN_CODES
from badgateway.terminal.explain import Section, explain, plain
from badgateway.terminal.screen import console, is_terminal
from badgateway_proxy import ERROR_TABLE


@click.command(
    epilog="""\b
Examples:
  badgateway explain 502
  badgateway explain connection_refused
  badgateway explain UC          what Envoy calls UC
  badgateway explain 522         what Cloudflare calls so
"""
)
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Explain a status code (500 to 511, or a 4xx), an error type of RFC 9209, or Envoy's, HAProxy's or Cloudflare's
    name for one: what it means, who sends it, causes, retry, alert, and the scenarios that show it.

    Without TOPIC: list what can be explained.
    """
    if topic is None:
        for code, info in KNOWN_CODES.items():
            click.echo(f"{code}  {info.name}")
        for error in ERROR_TABLE.values():
            click.echo(f"{error.status or '   '}  {error.token}")
        return
    for number, section in enumerate(explain(topic, catalogue.entries())):
        if number:
            click.echo()
        if is_terminal():
            _draw(section)
        else:
            for line in plain(section):
                click.echo(line)


def _draw(section: Section) -> None:
    screen = console()
    screen.print(Text(section.heading, style="bold reverse"))
    grid = Table.grid(padding=(0, 2))
    for label, text in section.entries:
        grid.add_row(Text(label, style="bold"), Text(text) if label else _item(text))
    screen.print(grid)


def _item(text: str) -> Text:
    """`name: what it is`, as an item of a list."""
    name, colon, rest = text.partition(": ")
    return Text.assemble("• ", (name, "bold cyan"), colon, rest)
