"""The sections of a hop's configuration about which endpoints are fit for requests: asked, or watched."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from badgateway_proxy.configuration.durations import PositiveDuration
from badgateway_proxy.configuration.settings import Method, Percent, Section, text_default

Times = Annotated[int, Field(ge=1, le=1_000_000)]
TimesOrNever = Annotated[int, Field(ge=0, le=1_000_000)]


def _path(path: str) -> str:
    if not path.startswith("/") or not path.isascii() or any(mark <= " " for mark in path) or len(path) > 1024:
        raise ValueError(f"{path[:40]!r} is no path: write /health")
    return path


class HealthSettings(Section):
    """Active health checks: the hop asks each endpoint now and then, whether or not there are requests."""

    enabled: bool = False
    """Whether endpoints are asked. Without checks each counts as healthy."""
    interval: PositiveDuration = text_default("2s")
    """Real time from the end of a check to the next. HAProxy: inter; Envoy: interval."""
    timeout: PositiveDuration = text_default("1s")
    """For a check as a whole, from the connection to the head of the response; then it has failed."""
    rise: Times = 2
    """Checks in a row that must pass before an unhealthy endpoint is healthy. Envoy: healthy_threshold."""
    fall: Times = 3
    """Checks in a row that must fail before a healthy endpoint is not. Envoy: unhealthy_threshold."""
    method: Method = "GET"
    """The check's method."""
    path: Annotated[str, AfterValidator(_path)] = "/health"
    """The check's path. Ask for something that needs what the requests need."""
    statuses: tuple[Annotated[int, Field(ge=200, le=599)], ...] = Field(default=(200,), min_length=1, strict=False)
    """Statuses that pass. HAProxy: http-check expect status; Envoy: expected_statuses."""


class SuccessRateSettings(Section):
    """Ejecting an endpoint whose success rate is far below that of the others."""

    minimum_hosts: TimesOrNever = 0
    """Endpoints with enough requests that there must be, to have something to compare with; 0 for never. Envoy:
    success_rate_minimum_hosts, 5."""
    request_volume: Times = 100
    """Requests that an endpoint must have had in an interval to be looked at. Envoy: success_rate_request_volume."""
    stdev_factor: Annotated[float, Field(ge=0, le=100)] = 1.9
    """So many standard deviations below the mean is an outlier. Envoy: success_rate_stdev_factor, a thousand times
    this."""


class OutlierSettings(Section):
    """Passive health checks: the hop watches how requests end, and ejects an endpoint whose requests fail. Envoy's
    outlier_detection, its words and its defaults.
    """

    enabled: bool = False
    """Whether endpoints are watched."""
    consecutive_5xx: TimesOrNever = 5
    """5xx responses in a row, or failures to get one, that eject an endpoint; 0 for never."""
    consecutive_gateway_failure: TimesOrNever = 0
    """Received 502, 503 or 504 in a row, or failures to get a response, that eject it; 0 for never, which is
    Envoy's default too (5, enforced in 0 %)."""
    split_external_local_origin_errors: bool = False
    """Count failures that the hop itself found (refused, reset, too late) only as consecutive_local_origin_failure,
    and not with the responses that an endpoint sent."""
    consecutive_local_origin_failure: TimesOrNever = 5
    """When split: failures in a row to get any response that eject an endpoint; 0 for never."""
    success_rate: SuccessRateSettings = SuccessRateSettings()
    """Ejecting an endpoint whose success rate is far below that of the others."""
    interval: PositiveDuration = text_default("10s")
    """How often success rates are compared, and how long an endpoint must be in to have one ejection forgiven."""
    base_ejection_time: PositiveDuration = text_default("30s")
    """How long an endpoint stays out the first time; twice as long the second time in succession, and so on."""
    max_ejection_time: PositiveDuration = text_default("5m")
    """The longest that it stays out."""
    max_ejection_percent: Percent = 10.0
    """Percentage of endpoints that may be out at a time; one may always be (Envoy: always_eject_one_host)."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.base_ejection_time > self.max_ejection_time:
            raise ValueError("base_ejection_time is longer than max_ejection_time")
        return self
