"""A hop in this process whose spans stay in memory."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from badgateway_proxy.configuration.tracing_settings import TracingSettings
from badgateway_proxy.tracing.tracer import Tracer
from tests.support.processes import until
from tests.support.wire import RunningHop, running_hop


@dataclass
class TracedHop:
    """The hop, and its spans."""

    hop: RunningHop
    exporter: InMemorySpanExporter

    async def spans(self, exchanges: int = 1) -> tuple[list[ReadableSpan], list[ReadableSpan]]:
        """The SERVER and the CLIENT spans, once so many exchanges are over."""

        def of(kind: SpanKind) -> list[ReadableSpan]:
            return [span for span in self.exporter.get_finished_spans() if span.kind is kind]

        await until(lambda: len(of(SpanKind.SERVER)) >= exchanges, what=f"{exchanges} SERVER spans")
        await until(lambda: not self.hop.hop.in_flight)
        assert len(of(SpanKind.SERVER)) == exchanges
        return of(SpanKind.SERVER), of(SpanKind.CLIENT)

    async def one(self) -> tuple[ReadableSpan, Sequence[ReadableSpan]]:
        """The spans of the one exchange that there was."""
        (server,), clients = await self.spans()
        return server, clients


@asynccontextmanager
async def traced_hop(*upstreams: str, sampling_ratio: float = 1.0, **settings: Any) -> AsyncIterator[TracedHop]:
    """As `running_hop`, tracing into memory."""
    async with running_hop(*upstreams, **settings) as hop:
        exporter = InMemorySpanExporter()
        tracing = TracingSettings(enabled=True, sampling_ratio=sampling_ratio)
        config = hop.hop.config.model_copy(update={"tracing": tracing})
        hop.hop.tracer = Tracer(config, random.Random(5).getrandbits, SimpleSpanProcessor(exporter))
        hop.hop.tracer.knows(member.endpoint for member in hop.hop.endpoints.members)
        yield TracedHop(hop, exporter)
