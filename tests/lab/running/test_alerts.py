from __future__ import annotations

import pytest

from badgateway.alerting.evaluation import Firing
from badgateway.inputs.patterns import Span
from badgateway.running.alerts import check_alerts
from badgateway.scenario.traffic import AlertsExpectation

FAST, SLOW = "ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"
FIRED = [Firing(FAST, "cdn", 1.0, 2.0), Firing(FAST, "lb", 1.5, 2.25)]


@pytest.mark.parametrize(
    ("window", "fires"),
    [
        (Span(0.0, None), True),
        (Span(0.0, 0.9), False),
        (Span(0.0, 1.0), True),
        (Span(1.9, 5.0), True),
        (Span(2.25, None), False),
    ],
)
def test_an_alert_fired_in_a_window_if_it_did_so_at_some_time_in_it(window: Span, fires: bool) -> None:
    (check,) = check_alerts(AlertsExpectation(fired=[FAST]), FIRED, window, shown=True)
    assert (check.name, check.expected, check.held) == (f"alert {FAST}", "to fire", fires)
    (check,) = check_alerts(AlertsExpectation(silent=[FAST]), FIRED, window, shown=True)
    assert (check.expected, check.held) == ("to be silent", not fires)


def test_a_check_says_where_and_when_it_fired() -> None:
    fired, silent = check_alerts(AlertsExpectation(fired=[SLOW], silent=[FAST]), FIRED, Span(0.0, None), shown=True)
    assert fired.measured == "silent"
    assert silent.measured == "fired at cdn from 1.00s to 2.00s, fired at lb from 1.50s to 2.25s"


def test_silence_without_a_single_record_shows_nothing() -> None:
    (check,) = check_alerts(AlertsExpectation(silent=[FAST]), [], Span(0.0, None), shown=False)
    assert (check.measured, check.held) == ("no requests were recorded", False)
