"""`badgateway validate`: everything that is wrong with scenario files, without starting anything."""

from __future__ import annotations

import click

from badgateway.scenario import catalogue
from badgateway.scenario.model import load_scenarios


@click.command(
    epilog="""\b
Examples:
  badgateway validate my-scenario.yaml
  badgateway validate scenarios/         every file below a directory
  badgateway validate                    the ones that come with badgateway
"""
)
@click.argument("files", metavar="[FILE|DIRECTORY|ID]...", nargs=-1)
def command(files: tuple[str, ...]) -> None:
    """Check scenario files: every mistake at once as `file:line:col: path: what; did you mean …?`, exit 2."""
    paths = catalogue.select(files) if files else catalogue.files(catalogue.root())
    scenarios = load_scenarios(paths)
    click.echo(f"{len(scenarios)} scenario{'s are' if len(scenarios) != 1 else ' is'} valid")
