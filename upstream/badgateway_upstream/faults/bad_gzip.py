"""The answer says it is gzip, and is not."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Script, register


class BadGzip(FaultSpec):
    """Attributes of `bad_gzip`."""

    kind: Literal["bad_gzip"] = "bad_gzip"


register(
    FaultType(
        name="bad_gzip",
        category="response",
        summary="Sends its answer with Content-Encoding: gzip, but the body is no gzip.",
        provokes=None,
        attributes=BadGzip,
        effect=Script(lambda _: [{"respond": {"header": r"Content-Encoding: gzip\r\n"}}]),
    )
)
