"""The answer is complete, but only the end of the connection says so, and that comes late."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import Duration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class SlowClose(FaultSpec):
    """Attributes of `slow_close`."""

    kind: Literal["slow_close"] = "slow_close"
    delay: Duration = 5.0
    """How long after the last byte it closes."""


register(
    FaultType(
        name="slow_close",
        category="flow",
        summary="Sends its answer without a length and closes the connection only after a delay.",
        provokes="connection_read_timeout",
        attributes=SlowClose,
        effect=Script(
            lambda spec: [{"respond": {"framing": "close"}}, {"pause": format_duration(spec.delay)}, "close"]
        ),
    )
)
