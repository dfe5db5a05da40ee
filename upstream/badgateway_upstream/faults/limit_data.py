"""The connection closes once so many bytes of an answer were sent (Toxiproxy's limit_data)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Occurrence, Shape, register
from badgateway_upstream.wire.sinks import Shaper, Sink, StreamEndedError


class LimitData(FaultSpec):
    """Attributes of `limit_data`."""

    kind: Literal["limit_data"] = "limit_data"
    bytes: int = Field(default=100, ge=0)
    """How many bytes of each answer, its head included, get through."""


class _Limited(Shaper):
    def __init__(self, spec: LimitData, inner: Sink, occurrence: Occurrence) -> None:
        super().__init__(inner)
        self._left = spec.bytes
        self._occurrence = occurrence

    async def write(self, data: bytes) -> None:
        if len(data) <= self._left:
            self._left -= len(data)
            await self._inner.write(data)
            return
        # Only now: an answer that fits was not touched, and must not count as broken.
        self._occurrence.fire()
        if self._left:
            await self._inner.write(data[: self._left])
        await self._inner.close()
        raise StreamEndedError


register(
    FaultType(
        name="limit_data",
        category="flow",
        summary="Closes the connection (FIN) once so many bytes of an answer were sent.",
        provokes="http_response_incomplete",
        attributes=LimitData,
        effect=Shape(_Limited),
    )
)
