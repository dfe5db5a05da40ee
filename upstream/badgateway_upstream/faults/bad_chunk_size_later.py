"""The answer is chunked, and a chunk size is no number; it comes in a later packet than the head."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import PositiveDuration, format_duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class BadChunkSizeLater(FaultSpec):
    """Attributes of `bad_chunk_size_later`."""

    kind: Literal["bad_chunk_size_later"] = "bad_chunk_size_later"
    size: EscapedText = "ZZZ"
    """What stands where a chunk size should be."""
    after: PositiveDuration = 0.05
    """How long after the head and the first chunk."""


register(
    FaultType(
        name="bad_chunk_size_later",
        category="response",
        summary="Sends a chunked answer whose second chunk size is no number, in a later packet than the head.",
        provokes="http_response_transfer_coding",
        attributes=BadChunkSizeLater,
        effect=Script(
            lambda spec: [
                {"respond": {"part": "head", "framing": "chunked"}},
                {"send": r"5\r\nhello\r\n"},
                {"pause": format_duration(spec.after)},
                {"send": spec.size + r"\r\nworld\r\n0\r\n\r\n"},
            ]
        ),
        applies=lambda _, occasion: occasion.method != "HEAD",
    )
)
