"""The handler's database query reads far too much: one of the app's workers is busy with it, and the client waits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from badgateway_upstream.durations import PositiveDuration
from badgateway_upstream.engine.registry import Break, FaultSpec, FaultType, register


class SlowQuery(FaultSpec):
    """Attributes of `slow_query`."""

    kind: Literal["slow_query"] = "slow_query"
    takes: Annotated[PositiveDuration, Field(le=30.0)] = 2.0
    """How long the query takes, in time of a processor: where others are busy too, longer (four times at most)."""


register(
    FaultType(
        name="slow_query",
        category="app",
        summary="Has SQLite read millions of rows on one of the app's workers before the handler goes on.",
        provokes="http_response_timeout",
        attributes=SlowQuery,
        effect=Break(lambda spec, handling: handling.query(spec.takes)),
    )
)
