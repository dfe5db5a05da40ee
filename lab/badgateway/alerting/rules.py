"""The alerts, in one form: the lab evaluates it, and Prometheus rules are made from it.

They follow chapter 5 of Google's SRE workbook, "Alerting on SLOs"
(https://sre.google/workbook/alerting-on-slos/): an alert fires while the error budget burns too fast over a long
window, which makes it significant, and over a short one, which makes it end soon after the trouble does. Only what
the server got wrong spends the budget. A client's errors (4xx) do not, and 429 has a rule of its own: a limit that
works is no failure, but a burst of refusals is worth a look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["page", "ticket"]

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0

OBJECTIVE: Final = 0.999
"""Share of requests that must not be the server's errors, over 30 days."""

BUDGET: Final = 1 - OBJECTIVE


@dataclass(frozen=True, slots=True)
class Bad:
    """What an alert counts: requests whose status matches `statuses`, a regular expression to Python and RE2 alike."""

    name: str
    statuses: str

    def matches(self, status: int | None) -> bool:
        """Whether a request with this status counts; None: there was no response."""
        return status is not None and re.fullmatch(self.statuses, str(status)) is not None


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds while the share of bad requests is above `share` in both windows (seconds)."""

    long: float
    short: float
    share: float


@dataclass(frozen=True, slots=True)
class Alert:
    """Fires while one of its conditions holds, and its long window has at least `at_least` bad requests.

    That number keeps a single failure in little traffic from being a share that alerts (the workbook, "Low-Traffic
    Services and Error Budget Alerting").
    """

    name: str
    severity: Severity
    bad: Bad
    conditions: tuple[Condition, ...]
    at_least: int
    summary: str
    look: str
    """What to do first."""


SERVER_ERRORS: Final = Bad("5xx", "5..")
TOO_MANY_REQUESTS: Final = Bad("429", "429")

ALERTS: Final = {
    alert.name: alert
    for alert in (
        Alert(
            "ErrorBudgetBurnFast",
            "page",
            SERVER_ERRORS,
            (
                Condition(1 * HOUR, 5 * MINUTE, share=14.4 * BUDGET),
                Condition(6 * HOUR, 30 * MINUTE, share=6 * BUDGET),
            ),
            at_least=5,
            summary="5xx spend the month's error budget within days: 2 % of it in an hour, or 5 % in six",
            look="Which hop decided, and of which error type: the first member of Proxy-Status with an error.",
        ),
        Alert(
            "ErrorBudgetBurnSlow",
            "ticket",
            SERVER_ERRORS,
            (Condition(3 * DAY, 6 * HOUR, share=1 * BUDGET),),
            at_least=5,
            summary="5xx spend the error budget faster than it lasts: 10 % of it in three days",
            look="Group the 5xx by error type and endpoint; it is a small leak, not an outage.",
        ),
        Alert(
            "TooManyRequestsBurst",
            "ticket",
            TOO_MANY_REQUESTS,
            (Condition(30 * MINUTE, 5 * MINUTE, share=0.1),),
            at_least=20,
            summary="more than a tenth of all requests is refused with 429",
            look="Group the 429s by client: one that runs wild, or all of them because the limit is too low.",
        ),
    )
}
"""Every alert, by its name."""
