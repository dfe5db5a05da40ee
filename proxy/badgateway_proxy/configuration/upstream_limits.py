"""Settings of how much of the upstream one hop may use at a time: Envoy's circuit-breaking thresholds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from badgateway_proxy.configuration.durations import PositiveDuration
from badgateway_proxy.configuration.settings import Percent, Section, text_default

Most = Annotated[int, Field(ge=1, le=1_000_000)]
NoneOrMore = Annotated[int, Field(ge=0, le=100_000)]


class UpstreamLimitSettings(Section):
    """How much may be under way to the upstream at once, all endpoints together. None: no limit.

    Envoy calls these thresholds circuit breakers (config.cluster.v3.CircuitBreakers.Thresholds).
    """

    max_connections: Most | None = None
    """Connections to the upstream, idle ones included. A request that finds none free waits for one.
    Envoy: max_connections. HAProxy: maxconn."""
    max_pending_requests: NoneOrMore = 1024
    """Requests that wait for a connection, first come, first served; one more gets 503 connection_limit_reached.
    Envoy: max_pending_requests. HAProxy: maxqueue."""
    pending_timeout: PositiveDuration = text_default("1s")
    """How long a request waits for a connection; then 503 connection_limit_reached. HAProxy: timeout queue."""
    max_requests: Most | None = None
    """Requests under way to the upstream; one more does not wait, but gets 503 connection_limit_reached.
    Envoy: max_requests."""
    max_retries: NoneOrMore | None = None
    """Retries under way at once; what would be one more is not tried again. Envoy: max_retries."""
    retry_after: PositiveDuration = text_default("1s")
    """What Retry-After asks of whoever is refused."""


class AdaptiveConcurrencySettings(Section):
    """A limit on requests under way to the upstream that finds itself, from how long they take. Off by default.

    One more than the limit gets 503 at once, as with Envoy's adaptive concurrency filter.
    """

    algorithm: Literal["off", "gradient", "aimd"] = "off"
    """gradient (Envoy's gradient controller) compares how long requests take with how long they take while few are
    under way; aimd (AIMDLimit of Netflix's concurrency-limits) adds one while requests succeed, and takes off a share
    when one fails or takes too long."""
    initial_limit: Most = 20
    """The limit at first; for gradient, once it has measured for the first time."""
    min_limit: Most = 3
    """It never goes below this, and gradient measures at this. Envoy: min_concurrency."""
    max_limit: Most = 1000
    """It never goes above this. Envoy: max_concurrency_limit."""
    update_interval: PositiveDuration = text_default("100ms")
    """gradient: how often the limit is worked out anew; longer than a request takes, or it acts on what it has not seen
    the effect of. Envoy: concurrency_update_interval."""
    percentile: Percent = 50.0
    """gradient: which of the times in an interval speaks for all. Envoy: sample_aggregate_percentile."""
    buffer: Annotated[float, Field(ge=0, le=100)] = 25.0
    """gradient: how many percent longer than the shortest a request may take before the limit goes down. Envoy:
    min_rtt_calc_params.buffer."""
    min_rtt_interval: PositiveDuration = text_default("60s")
    """gradient: how often the shortest time is measured anew. Envoy: min_rtt_calc_params.interval."""
    min_rtt_requests: Annotated[int, Field(ge=1, le=10_000)] = 50
    """gradient: over how many requests. Envoy: min_rtt_calc_params.request_count."""
    backoff_ratio: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    """aimd: what is left of the limit after a failure. Netflix: backoffRatio."""
    latency: PositiveDuration = text_default("5s")
    """aimd: a request that takes longer counts as failed. Netflix: timeout."""
    retry_after: PositiveDuration = text_default("1s")
    """What Retry-After asks of whoever is refused."""

    @model_validator(mode="after")
    def _ordered(self) -> AdaptiveConcurrencySettings:
        if not self.min_limit <= self.initial_limit <= self.max_limit:
            raise ValueError("min_limit, initial_limit and max_limit must be in that order")
        return self
