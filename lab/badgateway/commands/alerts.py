"""`badgateway alerts`: the alerts that scenarios judge, and the same as rules for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import click

from badgateway.alerting.evaluation import SCALE, SCALE_NOTE
from badgateway.alerting.prometheus import duration, rules
from badgateway.alerting.rules import ALERTS, Alert, Condition
from badgateway_proxy import format_duration


@click.command(
    epilog="""\b
Examples:
  badgateway alerts
  badgateway alerts --prometheus > badgateway-rules.yaml
  promtool check rules badgateway-rules.yaml
"""
)
@click.option("--prometheus", is_flag=True, help="Print them as a rules file for Prometheus, with their true windows.")
def command(prometheus: bool) -> None:
    """List the alerts: what each counts, over which windows, and how that is scaled down in a scenario.

    They are multi-window, multi-burn-rate alerts as in chapter 5 of Google's SRE workbook. A scenario says with
    `alerts` which must fire and which must not.
    """
    if prometheus:
        click.echo(rules(list(ALERTS.values())), nl=False)
        return
    click.echo(f"In scenarios: {SCALE_NOTE}.")
    for alert in ALERTS.values():
        click.echo()
        for line in _told(alert):
            click.echo(line)


def _told(alert: Alert) -> Iterator[str]:
    yield f"{alert.name} ({alert.severity}): {alert.summary}"
    for condition in alert.conditions:
        yield f"  {_condition(alert, condition)}"
    yield f"  and at least {alert.at_least} of them in the longer window"
    yield f"  look at: {alert.look}"


def _condition(alert: Alert, condition: Condition) -> str:
    true = " and ".join(duration(seconds) for seconds in (condition.long, condition.short))
    here = " and ".join(format_duration(seconds / SCALE) for seconds in (condition.long, condition.short))
    return f"share of {alert.bad.name} above {condition.share:.2%} over {true} (in a scenario {here})"
