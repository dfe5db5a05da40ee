"""An HTTP/2 server answers HTTP/1.1: binary frames come instead of an answer."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register

# RFC 9113 section 4.1: length (3 bytes), type, flags, stream (4 bytes); then the payload.
_SETTINGS = r"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_GOAWAY = r"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + r"\x00\x00\x00\x00" + r"\x00\x00\x00\x01"


class Http2Preface(FaultSpec):
    """Attributes of `http2_preface`."""

    kind: Literal["http2_preface"] = "http2_preface"


register(
    FaultType(
        name="http2_preface",
        category="response",
        summary="Sends HTTP/2 frames (SETTINGS, then GOAWAY with PROTOCOL_ERROR) instead of an answer, then closes.",
        provokes="http_protocol_error",
        attributes=Http2Preface,
        effect=Script(lambda _: [{"send": _SETTINGS + _GOAWAY}, "close"]),
    )
)
