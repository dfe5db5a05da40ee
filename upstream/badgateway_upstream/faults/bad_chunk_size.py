"""The answer is chunked, and a chunk size is no number; it comes in one packet with the head."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register
from badgateway_upstream.wire.payloads import EscapedText


class BadChunkSize(FaultSpec):
    """Attributes of `bad_chunk_size`."""

    kind: Literal["bad_chunk_size"] = "bad_chunk_size"
    size: EscapedText = "ZZZ"
    """What stands where a chunk size should be."""


register(
    FaultType(
        name="bad_chunk_size",
        category="response",
        summary="Sends a chunked answer whose first chunk size is no number, in the same packet as the head.",
        provokes="http_response_transfer_coding",
        attributes=BadChunkSize,
        effect=Script(
            lambda spec: [
                {"respond": {"part": "head", "framing": "chunked"}},
                {"send": spec.size + r"\r\nhello\r\n0\r\n\r\n"},
            ]
        ),
        applies=lambda _, occasion: occasion.method != "HEAD",
    )
)
