"""A scenario's load, as written: how many requests a second, for how long, of which kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from badgateway.alerting.rules import ALERTS
from badgateway.inputs.patterns import Span, TimeSpan
from badgateway.inputs.problems import as_text, did_you_mean
from badgateway.inputs.validation import Finding, refusal
from badgateway.scenario.expectation import Strict, That, one_or_list
from badgateway.scenario.request import PATIENCE, Headers, Method, Patience, RequestPath
from badgateway_proxy import Duration, format_duration

MAX_RATE = 2_000.0
"""Requests a second, the most one stream of traffic sends."""

MAX_REQUESTS = 200_000
"""The most one scenario sends."""

LONGEST = 600.0
"""Seconds."""

_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/(s|m)")


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second; `text` as it was written."""

    per_second: float
    text: str

    @classmethod
    def parse(cls, value: object) -> Rate:
        """From `50/s` or `90/m`. Raises ValueError."""
        if isinstance(value, Rate):
            return value
        found = _RATE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"a rate is requests a second or a minute, such as 50/s or 90/m, not {as_text(value)}")
        rate = float(found[1]) / (60 if found[2] == "m" else 1)
        if not 0 < rate <= MAX_RATE:
            raise ValueError(f"a rate is more than 0/s and at most {MAX_RATE:g}/s")
        return cls(rate, found[0])


def _seconds_within(seconds: float) -> float:
    if not 0 < seconds <= LONGEST:
        raise ValueError("traffic lasts more than 0s and at most 10m")
    return seconds


class Traffic(Strict):
    """One stream of requests, sent when they are due and not when the last answer came (an open loop)."""

    for_: Duration = Field(alias="for")
    rate: Annotated[Rate, PlainValidator(Rate.parse), WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+/(s|m)$"})]
    start: Duration = Field(default=0.0, json_schema_extra={"default": "0s"})
    """When this stream begins, after the traffic as a whole did."""
    arrivals: Literal["constant", "poisson"] = "constant"
    seed: int = 1
    """Of the Poisson arrivals: the same seed sends at the same times."""
    method: Method = "GET"
    path: RequestPath = "/"
    headers: Headers = Field(default_factory=dict)
    body: str | None = None
    to: str = "cdn"
    timeout: Patience = Field(default=PATIENCE, json_schema_extra={"default": format_duration(PATIENCE)})
    cause: bool = False
    """This stream is what makes the scenario happen, so that without it the scenario must fail."""
    in_flight: int = Field(default=2_000, ge=1, le=10_000)
    """Requests under way at once; what would be one more is not sent, and counted as failure=overflow."""

    _bounded = field_validator("for_")(_seconds_within)

    @model_validator(mode="after")
    def _few_enough(self) -> Traffic:
        if self.for_ * self.rate.per_second > MAX_REQUESTS:
            raise ValueError(f"sends more than {MAX_REQUESTS} requests; make the rate or the time smaller")
        return self

    @property
    def end(self) -> float:
        """When its last request is due, in seconds after the traffic began."""
        return self.start + self.for_


def _alert_name(value: str) -> str:
    if value not in ALERTS:
        raise refusal([Finding((), f"there is no alert {as_text(value)}", did_you_mean(value, ALERTS))])
    return value


AlertNames = Annotated[
    list[Annotated[str, AfterValidator(_alert_name), WithJsonSchema({"enum": list(ALERTS)})]],
    BeforeValidator(one_or_list),
]


class AlertsExpectation(Strict):
    """Which alerts fire in a window, for any hop, and which do not (`badgateway alerts` lists them)."""

    fired: AlertNames = Field(default_factory=list)
    """Fired at some time in the window."""
    silent: AlertNames = Field(default_factory=list)
    """Did not fire at any time in it."""


class WindowExpectation(Strict):
    """What must hold over the requests due in a window of the traffic (all of it by default)."""

    that: That | None = None
    alerts: AlertsExpectation | None = None
    """Judged by the hops' exchange records, with windows that are scaled down."""
    during: TimeSpan | None = None
    after: Duration | None = None
    note: str = ""

    @model_validator(mode="after")
    def _expects(self) -> WindowExpectation:
        if self.that is None and not (self.alerts and (self.alerts.fired or self.alerts.silent)):
            raise ValueError("expects nothing; it needs that, or alerts with fired or silent")
        return self

    @model_validator(mode="after")
    def _one_window(self) -> WindowExpectation:
        if self.during and self.after is not None:
            raise ValueError("has both during and after; a window is one of them")
        return self

    @property
    def window(self) -> Span:
        """Seconds after the traffic began."""
        return self.during or Span(self.after or 0.0, None)
