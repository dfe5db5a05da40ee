"""The rules file has the structure that Prometheus wants, and says the same as the rules that the lab evaluates.

That it is valid PromQL, and fires where it should, is tested with promtool in tests/e2e/test_prometheus.py; here it is
tested that nothing is named that is not recorded.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from badgateway.alerting.prometheus import REQUESTS, STATUS, alert_expression, duration, rules, share_name
from badgateway.alerting.rules import ALERTS, DAY, HOUR, MINUTE
from badgateway.inputs.yamltext import parse_yaml

TEXT = rules(list(ALERTS.values()))


def groups() -> list[dict[str, Any]]:
    document: Any = parse_yaml(TEXT, file="rules.yaml").value
    assert set(document) == {"groups"}
    found: list[dict[str, Any]] = document["groups"]
    return found


def test_shares_are_recorded_first_and_alerts_built_on_them() -> None:
    recorded, alerting = groups()
    assert [group["name"] for group in (recorded, alerting)] == ["badgateway-shares", "badgateway-alerts"]
    assert all(set(rule) == {"record", "expr"} for rule in recorded["rules"])
    assert all(set(rule) == {"alert", "expr", "labels", "annotations"} for rule in alerting["rules"])
    names = [rule["record"] for rule in recorded["rules"]]
    assert len(names) == len(set(names))
    used = {name for rule in alerting["rules"] for name in re.findall(r"job:\w+:\w+", rule["expr"])}
    assert used == set(names)


@pytest.mark.parametrize("rule", groups()[0]["rules"], ids=lambda rule: rule["record"])
def test_a_share_is_the_bad_requests_of_a_job_by_all_of_its_requests(rule: dict[str, Any]) -> None:
    window = rule["record"].rpartition("ratio_rate")[2]
    bad, slash, everything = rule["expr"].splitlines()
    assert re.fullmatch(rf'sum by \(job\) \(rate\({REQUESTS}{{{STATUS}=~"(5\.\.|429)"}}\[{window}\]\)\)', bad)
    assert slash == "/"
    assert everything == f"sum by (job) (rate({REQUESTS}[{window}]))"


@pytest.mark.parametrize("rule", groups()[1]["rules"], ids=lambda rule: rule["alert"])
def test_an_alert_says_what_the_lab_evaluates(rule: dict[str, Any]) -> None:
    alert = ALERTS[rule["alert"]]
    assert rule["labels"] == {"severity": alert.severity}
    assert rule["annotations"] == {"summary": f"{{{{ $labels.job }}}}: {alert.summary}", "description": alert.look}
    assert rule["expr"].strip() == alert_expression(alert)
    conditions = re.findall(
        rf'\(\n  (\S+) > (\S+)\n  and (\S+) > (\S+)\n  and sum by \(job\) \(increase\({REQUESTS}{{{STATUS}=~"(\S+)"}}'
        r"\[(\w+)\]\)\) >= (\d+)\n\)",
        rule["expr"],
    )
    assert conditions == [
        (
            share_name(alert.bad, c.long),
            f"{c.share:g}",
            share_name(alert.bad, c.short),
            f"{c.share:g}",
            alert.bad.statuses,
            duration(c.long),
            str(alert.at_least),
        )
        for c in alert.conditions
    ]


def test_the_metric_has_the_name_that_opentelemetrys_has_in_prometheus() -> None:
    # http.server.request.duration, a histogram in seconds; attribute http.response.status_code
    assert "http.server.request.duration".replace(".", "_") + "_seconds" + "_count" == REQUESTS
    assert "http.response.status_code".replace(".", "_") == STATUS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30, "30s"), (90, "90s"), (5 * MINUTE, "5m"), (1 * HOUR, "1h"), (90 * MINUTE, "90m"), (3 * DAY, "3d")],
)
def test_durations_are_written_in_their_largest_whole_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
