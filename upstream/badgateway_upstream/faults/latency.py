"""The answer comes late, by a time that varies (Toxiproxy's latency)."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.durations import Duration
from badgateway_upstream.engine.registry import FaultSpec, FaultType, Occurrence, Shape, register
from badgateway_upstream.wire.sinks import Shaper, Sink


class Latency(FaultSpec):
    """Attributes of `latency`."""

    kind: Literal["latency"] = "latency"
    latency: Duration = 0.1
    """How much later the answer begins."""
    jitter: Duration = 0.0
    """How much more or less than that, evenly distributed."""


class _Late(Shaper):
    def __init__(self, spec: Latency, inner: Sink, occurrence: Occurrence) -> None:
        super().__init__(inner)
        self._spec = spec
        self._occurrence = occurrence
        self._begun = False

    async def write(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            self._occurrence.fire()
            vary = self._occurrence.random.uniform(-1, 1) * self._spec.jitter
            await self._occurrence.sleep(max(0.0, self._spec.latency + vary))
        await self._inner.write(data)


register(
    FaultType(
        name="latency",
        category="flow",
        summary="Delays the answer by a time, plus or minus a jitter.",
        provokes=None,
        attributes=Latency,
        effect=Shape(_Late),
    )
)
