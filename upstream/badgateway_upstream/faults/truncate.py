"""The app closes in the middle of a body whose length it announced."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.steps import Cut


class Truncate(FaultSpec):
    """Attributes of `truncate`."""

    kind: Literal["truncate"] = "truncate"
    at: Cut = "50%"
    """Where, in the body: a number of bytes, or a share."""


register(
    FaultType(
        name="truncate",
        category="response",
        summary="Sends the head and part of the body, then closes (FIN) short of its Content-Length.",
        provokes="http_response_incomplete",
        attributes=Truncate,
        effect=Script(
            lambda spec: [{"respond": {"part": "head"}}, {"respond": {"part": "body", "to": spec.at}}, "close"]
        ),
        applies=lambda _, occasion: occasion.method != "HEAD",
    )
)
