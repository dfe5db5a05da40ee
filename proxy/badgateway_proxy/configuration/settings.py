"""The sections of a hop's configuration: names, types, units, defaults, and what each setting is for.

Everything is validated strictly (a string is no number) and frozen. Durations are text in YAML and JSON and
plain float seconds as attributes. `config.HopConfig` puts the sections together.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from badgateway_proxy.configuration.durations import Duration, PositiveDuration
from badgateway_proxy.error_types import RetryCondition

IDEMPOTENT_METHODS: Final = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
"""RFC 9110 section 9.2.2: safe to send again when nobody knows whether the first was acted on."""

_LATE: Final[frozenset[RetryCondition]] = frozenset(("connect-failure", "timeout", "gateway-error", "5xx"))
"""The conditions under which an attempt that is late may be followed by another."""

Percent = Annotated[float, Field(gt=0, le=100)]
Bytes = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _method(method: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9_-]*", method):
        raise ValueError(f"{method[:40]!r} is no method: write capitals, such as GET")
    return method


Method = Annotated[str, AfterValidator(_method)]


def _bearer(token: str) -> str:
    if not re.fullmatch(r"[!-~]{1,1024}", token):
        raise ValueError("a token is visible ASCII without spaces")
    return token


class Section(BaseModel):
    """Strict, frozen, and closed: an unknown key is an error, not a setting silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def text_default(text: str) -> Any:
    """A default written the way users write it, so that help and JSON schema show ``10s``, not ``10.0``."""
    return Field(default=text, validate_default=True)


class ListenSettings(Section):
    """Where clients connect."""

    host: str = "127.0.0.1"
    """Address or name to listen on. Loopback unless you say otherwise."""
    port: Port = 8080
    """TCP port; 0 takes a free one, which the ready line tells."""


class AdminSettings(Section):
    """The admin API: configuration, state, records."""

    host: str = "127.0.0.1"
    """Address or name that the admin API listens on."""
    port: Port = 0
    """TCP port of the admin API; 0 takes a free one, which the ready line tells."""
    token: Annotated[str, AfterValidator(_bearer)] | None = Field(default=None, repr=False)
    """Bearer token. Without one: BADGATEWAY_TOKEN, else token_file, else a random one shown on stderr."""
    token_file: str | None = None
    """File that holds the token; made with a random one, readable by its owner only, if it is not there."""
    allowed_hosts: tuple[str, ...] = Field(default=(), strict=False)
    """Host names, besides loopback ones, under which the admin API may be called; "*" allows all."""


class TimeoutSettings(Section):
    """How long the hop waits, for each thing that it waits for."""

    client_head: PositiveDuration = text_default("10s")
    """For a client's request line and headers, from their first byte on; then 408."""
    client_body: PositiveDuration = text_default("30s")
    """For a client's request body, as a whole; then 408."""
    client_idle: PositiveDuration = text_default("75s")
    """For the next request on a client's connection; then the connection is closed."""
    connect: PositiveDuration = text_default("1s")
    """For a connection to an endpoint; then connection_timeout."""
    send: PositiveDuration = text_default("10s")
    """For an endpoint to take in the request; renewed by progress; then connection_write_timeout."""
    first_byte: PositiveDuration = text_default("5s")
    """For the whole head of the response, once the request is sent. A drip of bytes does not renew it;
    then http_response_timeout."""
    between_bytes: PositiveDuration = text_default("5s")
    """For the next bytes of a response body; renewed by each; then connection_read_timeout."""
    request: PositiveDuration = text_default("30s")
    """For the whole exchange, all attempts and pauses together; then http_response_timeout."""
    pool_idle: PositiveDuration = text_default("30s")
    """How long an unused connection to an endpoint is kept. Keep it shorter than the endpoint's own."""


class BackoffSettings(Section):
    """The pause before a retry: base, doubled each time up to max. Defaults as Envoy's."""

    base: Duration = text_default("25ms")
    """The pause before the first retry; 0s for none."""
    max: Duration = text_default("250ms")
    """The longest pause. A Retry-After beyond it ends the retries."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Which share of the pause is random: 0 for none, 1 for anything from nothing to the whole pause."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.base > self.max:
            raise ValueError("base is longer than max")
        return self


class RetryBudgetSettings(Section):
    """How many retries may be under way at once. Envoy: retry_budget, its defaults, but it is off."""

    enabled: bool = False
    """Whether there is a budget. Without one, every exchange may use all its attempts."""
    percent: Annotated[float, Field(ge=0, le=100)] = 20.0
    """Retries under way, in percent of the requests under way. Envoy: budget_percent."""
    min_concurrency: Annotated[int, Field(ge=0, le=100_000)] = 3
    """So many may always be under way, however few requests there are. Envoy: min_retry_concurrency."""


class RetrySettings(Section):
    """When the hop tries again by itself. Off by default: attempts is 1."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 1
    """How often an exchange is tried in total, the first time included."""
    methods: Annotated[tuple[Method, ...], Field(strict=False)] | Literal["any"] = IDEMPOTENT_METHODS
    """Methods that may be tried again; "any" replays a POST too, which may then happen twice."""
    on: tuple[RetryCondition, ...] = Field(default=("connect-failure", "reset", "timeout"), strict=False)
    """What is tried again. connect-failure: no connection came about. refused: of these only refused ones.
    reset: it closed before the response. timeout: sending or waiting took too long. gateway-error: all these,
    unusable responses, and a received 502, 503 or 504. 5xx: all that, and any received 5xx.
    retriable-status-codes: a received status of retry.statuses."""
    statuses: tuple[Annotated[int, Field(ge=400, le=599)], ...] = Field(default=(), strict=False)
    """Received statuses that retriable-status-codes is about. Envoy: retriable_status_codes."""
    per_try_timeout: Duration = text_default("0s")
    """For each attempt, from its beginning to the whole head of its response; 0s for no other limit than those
    of timeouts. Envoy: per_try_timeout; nginx: proxy_next_upstream_timeout is for all attempts together."""
    hedge_on_per_try_timeout: bool = False
    """An attempt that is late by per_try_timeout is not given up: another begins beside it, elsewhere, and the
    first good response counts. Envoy: hedge_on_per_try_timeout."""
    backoff: BackoffSettings = BackoffSettings()
    """The pause before each retry."""
    budget: RetryBudgetSettings = RetryBudgetSettings()
    """How many retries may be under way at once."""

    @model_validator(mode="after")
    def _hedged_when_late(self) -> Self:
        if not self.hedge_on_per_try_timeout:
            return self
        if not self.per_try_timeout:
            raise ValueError("hedge_on_per_try_timeout needs a per_try_timeout: after what time to hedge")
        if self.attempts == 1:
            raise ValueError("hedge_on_per_try_timeout needs attempts of at least 2: a hedge is one")
        if not _LATE.intersection(self.on):
            conditions = ", ".join(sorted(_LATE))
            raise ValueError(f"hedge_on_per_try_timeout needs one of {conditions} in on: a hedge is a retry")
        return self


class CountWindow(Section):
    """The breaker looks at the last ``size`` calls."""

    type: Literal["count"] = "count"
    """The window holds a number of calls."""
    size: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Number of calls."""


class TimeWindow(Section):
    """The breaker looks at the calls of the last ``size``."""

    type: Literal["time"] = "time"
    """The window holds a stretch of time."""
    size: PositiveDuration = text_default("60s")
    """Length of time; it moves on in sixtieths of itself."""


Window = Annotated[CountWindow | TimeWindow, Field(discriminator="type")]


class BreakerSettings(Section):
    """The upstream's circuit breaker: resilience4j's semantics and defaults, but for what `breaker` tells."""

    enabled: bool = True
    """Whether there is one at all; without it the breaker's state is "disabled"."""
    failure_rate: Percent = 50.0
    """Percentage of failed calls at which it opens. resilience4j: failureRateThreshold."""
    slow_call_rate: Percent = 100.0
    """Percentage of slow calls at which it opens. resilience4j: slowCallRateThreshold."""
    slow_call: PositiveDuration = text_default("60s")
    """A call that takes longer is slow. resilience4j: slowCallDurationThreshold."""
    window: Window = CountWindow()
    """The calls it looks at: {type: count, size: 100} or {type: time, size: 60s}.
    resilience4j: slidingWindowType, slidingWindowSize."""
    minimum_calls: Annotated[int, Field(ge=1)] = 100
    """Calls in the window before rates mean anything (at most a count window's size).
    resilience4j: minimumNumberOfCalls."""
    open_for: PositiveDuration = text_default("60s")
    """How long it stays open before it lets probes through. resilience4j: waitDurationInOpenState."""
    permitted_probes: Annotated[int, Field(ge=1, le=100_000)] = 10
    """Calls let through while half-open. resilience4j: permittedNumberOfCallsInHalfOpenState."""
    max_half_open: Duration = text_default("0s")
    """How long it waits for its probes before it opens again; 0s for ever.
    resilience4j: maxWaitDurationInHalfOpenState."""
    failure_statuses: tuple[Annotated[int, Field(ge=100, le=599)], ...] = Field(
        default=(500, 502, 503, 504), strict=False
    )
    """Statuses received from the upstream that count as failures (the error types that do are fixed)."""

    @field_validator("window", mode="before")
    @classmethod
    def _type_from_size(cls, window: object) -> object:
        """``window: {size: 60s}`` needs no type: text is a time, a number counts calls."""
        if isinstance(window, dict) and "type" not in window:
            return {"type": "time" if isinstance(window.get("size"), str) else "count", **window}
        return window


class LimitSettings(Section):
    """How large things may be: bytes, unless they are counts."""

    request_line: Bytes = 8190
    """A client's request line; then 414."""
    request_header: Bytes = 8190
    """One header of a client's request; then 431."""
    request_headers_total: Bytes = 65536
    """All headers of a client's request together; then 431."""
    request_header_count: Annotated[int, Field(ge=1)] = 128
    """Number of headers in a client's request; then 431."""
    request_body: Annotated[int, Field(ge=0)] = 1024**3
    """A client's request body; then 413."""
    response_header: Bytes = 16384
    """One header of an upstream's response; then http_response_header_size."""
    response_headers_total: Bytes = 65536
    """All headers of an upstream's response together; then http_response_header_section_size."""
    response_header_count: Annotated[int, Field(ge=1)] = 256
    """Number of headers in an upstream's response; then http_response_header_section_size."""
    interim_responses: Annotated[int, Field(ge=0)] = 100
    """Number of 1xx responses before the final one; then http_protocol_error."""
    connections: Annotated[int, Field(ge=1)] = 10000
    """Connections from clients at a time; one more gets a 503 with Retry-After."""


class PoolSettings(Section):
    """Connections kept open to endpoints."""

    idle: Annotated[int, Field(ge=0)] = 64
    """Unused connections kept, per endpoint; 0 uses a fresh one for every request."""
