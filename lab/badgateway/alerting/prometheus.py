"""The same alerts as rules for Prometheus: recording rules for the shares, alerting rules over them, true windows.

They read the metric that OpenTelemetry's semantic conventions define for servers, `http.server.request.duration`
(https://opentelemetry.io/docs/specs/semconv/http/http-metrics/), under the name that it has in Prometheus, and
aggregate by `job`: each hop must be a job of its own, or a 5xx that two hops relay counts twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from badgateway.alerting.rules import DAY, HOUR, MINUTE, OBJECTIVE, Alert, Bad, Condition

REQUESTS: Final = "http_server_request_duration_seconds_count"
"""Requests that a server has answered: the count of the histogram of their durations."""

STATUS: Final = "http_response_status_code"
"""Label with the status, as a number in three digits."""

HEAD: Final = f"""\
# Made by `badgateway alerts --prometheus`. Objective: {OBJECTIVE:.1%} of requests without a 5xx, over 30 days.
# Windows and factors: https://sre.google/workbook/alerting-on-slos/, table 5-8; 429 has a rule of its own.
# Metric: {REQUESTS} (OpenTelemetry semantic conventions),
# labels job (a hop) and {STATUS}.
"""


def duration(seconds: float) -> str:
    """A duration as PromQL writes it, in its largest whole unit: `5m`, `6h`, `3d`."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def share_name(bad: Bad, window: float) -> str:
    """Name of the recording rule for the share of bad requests: `level:metric:operations`."""
    return f"job:http_server_{bad.name}_per_request:ratio_rate{duration(window)}"


def share_expression(bad: Bad, window: float) -> str:
    """PromQL for the share of bad requests over a window."""
    return f"{_sum('rate', bad, window)}\n/\n{_sum('rate', None, window)}"


def alert_expression(alert: Alert) -> str:
    """PromQL that has a value for each job for which the alert fires."""
    return "\nor\n".join(f"(\n{_condition(alert, condition)}\n)" for condition in alert.conditions)


def _condition(alert: Alert, condition: Condition) -> str:
    windows = (condition.long, condition.short)
    shares = [f"{share_name(alert.bad, window)} > {condition.share:g}" for window in windows]
    return "\n  and ".join(
        [f"  {shares[0]}", shares[1], f"{_sum('increase', alert.bad, condition.long)} >= {alert.at_least}"]
    )


def _sum(function: str, bad: Bad | None, window: float) -> str:
    chosen = f'{{{STATUS}=~"{bad.statuses}"}}' if bad else ""
    return f"sum by (job) ({function}({REQUESTS}{chosen}[{duration(window)}]))"


def rules(alerts: Sequence[Alert]) -> str:
    """A rules file (YAML) with all of these alerts."""
    return HEAD + "\n".join(_lines(alerts)) + "\n"


def _lines(alerts: Sequence[Alert]) -> Iterator[str]:
    yield "groups:"
    yield "  - name: badgateway-shares"
    yield "    rules:"
    for bad, window in _recorded(alerts):
        yield f"      - record: {share_name(bad, window)}"
        yield from _block("expr", share_expression(bad, window))
    yield "  - name: badgateway-alerts"
    yield "    rules:"
    for alert in alerts:
        yield f"      - alert: {alert.name}"
        yield from _block("expr", alert_expression(alert))
        yield "        labels:"
        yield f"          severity: {alert.severity}"
        yield "        annotations:"
        yield f"          summary: {_quoted('{{ $labels.job }}: ' + alert.summary)}"
        yield f"          description: {_quoted(alert.look)}"


def _recorded(alerts: Iterable[Alert]) -> list[tuple[Bad, float]]:
    """Every share that is needed, once, shorter windows first."""
    needed = {(alert.bad, window) for alert in alerts for c in alert.conditions for window in (c.long, c.short)}
    return sorted(needed, key=lambda share: (share[0].name, share[1]))


def _block(key: str, text: str) -> Iterator[str]:
    """A text of several lines as YAML has it, below its key."""
    yield f"        {key}: |"
    yield from (f"          {line}" for line in text.splitlines())


def _quoted(text: str) -> str:
    """A text as a YAML scalar; JSON's are a subset."""
    return json.dumps(text, ensure_ascii=False)
