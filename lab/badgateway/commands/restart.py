"""`badgateway restart`: start processes of the running chain again, or put the whole chain back as it was."""

from __future__ import annotations

import click

from badgateway.commands.fault import control_options
from badgateway.control.client import connect


@click.command(
    epilog="""\b
Examples:
  badgateway restart app          every instance, on its old port
  badgateway restart lb app-2
  badgateway restart              everything as it was started
"""
)
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@control_options
def command(targets: tuple[str, ...], control: str | None, token: str | None) -> None:
    """Restart processes of the running chain and wait until they are ready: app (every instance), app-1, lb, cdn.

    A process forgets its faults and the settings that were patched since it was started; restart says which.

    Without TARGET: put the chain back as it was started. Faults are cleared, dead processes started, configuration,
    breakers, records and clocks as new, the shop without orders.
    """
    client = connect(control, token)
    for target in targets:
        lost = client.restart(target)
        click.echo(f"{target} restarted")
        for text in lost:
            click.echo(f"  {text}")
    if not targets:
        client.reset()
        click.echo("everything is as it was started")
