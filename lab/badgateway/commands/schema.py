"""`badgateway schema`: the JSON schema of scenario files, for editors."""

from __future__ import annotations

import json

import click

from badgateway.scenario.schema import scenario_schema


@click.command(
    epilog="""\b
Example:
  badgateway schema > scenario.schema.json
and as the first line of a scenario, for editors with the YAML language server:
  # yaml-language-server: $schema=scenario.schema.json
"""
)
def command() -> None:
    """Print the JSON schema of scenario files."""
    click.echo(json.dumps(scenario_schema(), indent=2))
