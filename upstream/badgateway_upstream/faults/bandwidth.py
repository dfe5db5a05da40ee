"""The answer comes at a limited rate (Toxiproxy's bandwidth)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Occurrence, Shape, register
from badgateway_upstream.wire.sinks import Shaper, Sink

_SLICES_PER_SECOND = 20


class Bandwidth(FaultSpec):
    """Attributes of `bandwidth`."""

    kind: Literal["bandwidth"] = "bandwidth"
    rate: int = Field(default=10, ge=1, le=10_000_000)
    """Kilobytes (1000 bytes) per second, for each answer."""


class _Narrow(Shaper):
    def __init__(self, spec: Bandwidth, inner: Sink, occurrence: Occurrence) -> None:
        super().__init__(inner)
        self._rate = spec.rate * 1000
        self._slice = max(1, self._rate // _SLICES_PER_SECOND)
        self._occurrence = occurrence

    async def write(self, data: bytes) -> None:
        self._occurrence.fire()
        for start in range(0, len(data), self._slice):
            piece = data[start : start + self._slice]
            await self._occurrence.sleep(len(piece) / self._rate)
            await self._inner.write(piece)


register(
    FaultType(
        name="bandwidth",
        category="flow",
        summary="Limits how fast each answer is sent.",
        provokes=None,
        attributes=Bandwidth,
        effect=Shape(_Narrow),
    )
)
