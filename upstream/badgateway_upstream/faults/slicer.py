"""The answer comes in many small packets (Toxiproxy's slicer)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from badgateway_upstream.durations import Duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Occurrence, Shape, register
from badgateway_upstream.wire.sinks import Shaper, Sink


class Slicer(FaultSpec):
    """Attributes of `slicer`."""

    kind: Literal["slicer"] = "slicer"
    average_size: int = Field(default=64, ge=1)
    """Bytes in a slice, on average."""
    size_variation: int = Field(default=0, ge=0)
    """How many bytes more or less; smaller than average_size."""
    delay: Duration = 0.001
    """How long from one slice to the next."""

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.size_variation >= self.average_size:
            raise ValueError("size_variation must be smaller than average_size")
        return self


class _Sliced(Shaper):
    def __init__(self, spec: Slicer, inner: Sink, occurrence: Occurrence) -> None:
        super().__init__(inner)
        self._spec = spec
        self._occurrence = occurrence

    async def write(self, data: bytes) -> None:
        self._occurrence.fire()
        spec, vary = self._spec, self._spec.size_variation
        start = 0
        while start < len(data):
            size = spec.average_size + self._occurrence.random.randint(-vary, vary)
            await self._inner.write(data[start : start + size])
            start += size
            await self._occurrence.sleep(spec.delay)


register(
    FaultType(
        name="slicer",
        category="flow",
        summary="Sends the answer in small packets with a pause after each.",
        provokes=None,
        attributes=Slicer,
        effect=Shape(_Sliced),
    )
)
