from __future__ import annotations

import pytest

from badgateway.alerting.rules import ALERTS, BUDGET, DAY, HOUR, MINUTE, SERVER_ERRORS, TOO_MANY_REQUESTS, Bad


@pytest.mark.parametrize(
    ("bad", "counted", "not_counted"),
    [
        (SERVER_ERRORS, [500, 502, 503, 504, 599], [None, 200, 400, 404, 408, 429, 499, 50]),
        (TOO_MANY_REQUESTS, [429], [None, 200, 404, 420, 500]),
    ],
)
def test_what_counts(bad: Bad, counted: list[int], not_counted: list[int | None]) -> None:
    assert all(bad.matches(status) for status in counted)
    assert not any(bad.matches(status) for status in not_counted)


@pytest.mark.parametrize(
    ("name", "long", "short", "burn_rate", "of_the_budget"),
    [
        ("ErrorBudgetBurnFast", 1 * HOUR, 5 * MINUTE, 14.4, 0.02),
        ("ErrorBudgetBurnFast", 6 * HOUR, 30 * MINUTE, 6, 0.05),
        ("ErrorBudgetBurnSlow", 3 * DAY, 6 * HOUR, 1, 0.1),
    ],
)
def test_windows_and_factors_are_those_of_the_workbooks_table_5_8(
    name: str, long: float, short: float, burn_rate: float, of_the_budget: float
) -> None:
    (condition,) = (c for c in ALERTS[name].conditions if c.long == long)
    assert condition.short == short == long / 12
    assert condition.share == pytest.approx(burn_rate * BUDGET)
    assert burn_rate * long / (30 * DAY) == pytest.approx(of_the_budget)


def test_only_what_needs_a_person_now_pages() -> None:
    assert {alert.name for alert in ALERTS.values() if alert.severity == "page"} == {"ErrorBudgetBurnFast"}
    assert all(name == alert.name for name, alert in ALERTS.items())
