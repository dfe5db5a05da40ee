"""What a request step can expect: the `expect` mapping of a scenario, parsed."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from badgateway.inputs.patterns import Count, RetryAfter, Status, Text
from badgateway.inputs.problems import as_text, did_you_mean
from badgateway.inputs.validation import Finding, refusal
from badgateway.running.observations import Failure
from badgateway.scenario.expression_parser import ExpressionError, parse_expression
from badgateway.scenario.expressions import Expression
from badgateway_proxy import Duration, ErrorType

ERRORS = tuple(str(error) for error in ErrorType)
EndpointHealth = Literal["healthy", "unhealthy", "ejected", "draining"]
CacheWord = Literal["hit", "stale", "revalidated", "expired", "miss", "collapsed", "bypass", "none"]
BreakerState = Literal["closed", "open", "half_open", "forced_open", "disabled"]


class Strict(BaseModel):
    """What every part of a scenario is: no unknown keys, no guessing of types, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def _error_name(value: str) -> str:
    if value not in (*ERRORS, "none"):
        raise refusal([Finding((), f"unknown error type {as_text(value)}", did_you_mean(value, (*ERRORS, "none")))])
    return value


def one_or_list(value: object) -> object:
    """What may be written without brackets if it is only one."""
    return value if isinstance(value, (list, tuple)) else [value]


def _expression(value: object) -> Expression:
    if not isinstance(value, str):
        raise ValueError(f"must be an expression such as share(status=504) > 95%, not {as_text(value)}")  # noqa: TRY004
    try:
        return parse_expression(value)
    except ExpressionError as error:
        raise refusal([Finding((), error.what, error.hint, offset=error.offset)]) from None


ErrorName = Annotated[str, AfterValidator(_error_name), WithJsonSchema({"enum": [*ERRORS, "none"]})]
"""An RFC 9209 error type, or `none`: no hop reported one."""

That = Annotated[
    Expression, PlainValidator(_expression), WithJsonSchema({"type": "string", "examples": ["p95 < 300ms"]})
]
"""An expression over several requests, parsed."""

ONE_OR_MORE: Final[dict[str, Any]] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
"""The schema of a text or a list of texts."""


class HopExpectation(Strict):
    """What one hop's exchange record must say about the request."""

    status: Status | None = None
    error: ErrorName | None = None
    generated: bool | None = None
    """Whether this hop made the response itself."""
    attempts: Count | None = None
    truncated: bool | None = None
    client_gone: bool | None = None


class FaultsExpectation(Strict):
    """What the faults did during the step."""

    fired: Count


class Expectation(Strict):
    """What must hold for a request step; for each of its requests, if `times` says that there are several."""

    status: Status | None = None
    decided_by: str | None = None
    """Tier that generated the response: cdn, lb or app."""
    error: ErrorName | None = None
    """As the first member of Proxy-Status that has an error, or, once a head was sent, the exchange record says."""
    within: Duration | None = None
    """The client had its answer after this long at most."""
    at_least: Duration | None = None
    """It took no less than this."""
    body_begins_within: Duration | None = None
    """The first byte of its body was there after this long at most, whenever the last one came."""
    attempts: dict[str, Count] = Field(default_factory=dict)
    """Attempts per hop."""
    header: dict[str, Text] = Field(default_factory=dict)
    body: Annotated[list[str], BeforeValidator(one_or_list), WithJsonSchema(ONE_OR_MORE)] = Field(default_factory=list)
    """Texts that the body contains."""
    truncated: bool | None = None
    """Whether the client received less than was announced."""
    failure: Failure | Literal["none"] | None = None
    """Why the client got no response at all."""
    first_bytes: str | None = None
    """Text among the first bytes that the deciding hop received and could not use."""
    retry_after: RetryAfter | None = None
    app_requests: Count | None = None
    """Requests that reached the app's instances during this step."""
    app_connections: Count | None = None
    """Connections that the app's instances accepted during this step."""
    cache: dict[str, Annotated[list[CacheWord], BeforeValidator(one_or_list)]] = Field(default_factory=dict)
    """How each hop's cache came by the answer: one of these words; `none` without a cache."""
    hops: dict[str, HopExpectation] = Field(default_factory=dict)
    breaker: dict[str, BreakerState] = Field(default_factory=dict)
    """State of each hop's breaker after the step."""
    endpoints: dict[str, dict[str, EndpointHealth]] = Field(default_factory=dict)
    """What each hop thinks of its endpoints after the step: `{lb: {app-1: ejected}}`."""
    faults: FaultsExpectation | None = None
    that: Annotated[list[That], BeforeValidator(one_or_list), WithJsonSchema(ONE_OR_MORE)] = Field(default_factory=list)
    """Expressions over all the requests of this step."""

    @property
    def is_about_records(self) -> bool:
        """Whether it asks for what only the hops' exchange records say."""
        return bool(self.attempts or self.cache or self.hops or self.first_bytes)
