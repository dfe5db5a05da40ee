"""The app closes in the middle of a chunked body."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.steps import Cut


class TruncateChunked(FaultSpec):
    """Attributes of `truncate_chunked`."""

    kind: Literal["truncate_chunked"] = "truncate_chunked"
    at: Cut = "50%"
    """Where, in the chunked body: a number of bytes, or a share."""


register(
    FaultType(
        name="truncate_chunked",
        category="response",
        summary="Sends its answer chunked, and closes (FIN) before the last chunk.",
        provokes="http_response_incomplete",
        attributes=TruncateChunked,
        effect=Script(
            lambda spec: [
                {"respond": {"part": "head", "framing": "chunked"}},
                {"respond": {"part": "body", "to": spec.at}},
                "close",
            ]
        ),
        applies=lambda _, occasion: occasion.method != "HEAD",
    )
)
