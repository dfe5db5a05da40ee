"""Spans on their way out: OpenTelemetry's SDK gathers them, and its exporter sends them by OTLP over HTTP.

The only module that imports OpenTelemetry, and itself imported only where tracing is on: it is an optional extra.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from badgateway_proxy.configuration.config import HopConfig
from badgateway_proxy.configuration.tracing_settings import TracingSettings
from badgateway_proxy.policies.balancer import Endpoint
from badgateway_proxy.records import AttemptRecord, ExchangeRecord
from badgateway_proxy.tracing.near_adapter import NearAdapter
from badgateway_proxy.tracing.spans import SpanRecord, spans_of
from badgateway_proxy.tracing.trace_context import Trace, begin, new_id
from badgateway_proxy.transport.request import Request

#: How many spans go in one request at most: the SDK's default.
_BATCH = 512
#: How long the end of a hop waits for its last spans to be sent, in seconds.
_LAST_SPANS = 1.0

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}


class Tracer:
    """One hop's tracing.

    Args:
        config: the hop's configuration.
        bits: so many random bits.
        processor: where spans go; None for the endpoint of the settings.
    """

    def __init__(self, config: HopConfig, bits: Callable[[int], int], processor: SpanProcessor | None = None) -> None:
        settings = config.tracing
        self._bits = bits
        self._ratio = settings.sampling_ratio
        self._scheme = "https" if config.tls.enabled else "http"
        self._over_tls: frozenset[str] = frozenset()
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # what is not to be recorded does not come here
            resource=Resource.create({"service.name": config.name, "service.namespace": "badgateway"}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor or _batches(settings))
        self._tracer = self._provider.get_tracer("badgateway_proxy")

    def knows(self, endpoints: Iterable[Endpoint]) -> None:
        """Take note of what the hop sends to."""
        self._over_tls = frozenset(endpoint.text for endpoint in endpoints if endpoint.tls)

    def begin(self, request: Request) -> Trace:
        """The trace that an exchange belongs to."""
        trace = begin(request.fields.get(b"traceparent", ()), self._bits, self._ratio)
        if trace.sampled:
            host = next((value for name, value in request.raw_headers if name.lower() == b"host"), b"")
            trace.host = host.decode("ascii", "replace") or None
        return trace

    def sent(self, trace: Trace, attempt: AttemptRecord) -> bytes:
        """The traceparent that an attempt sends, which from now on has a span id."""
        attempt.span_id = new_id(self._bits, 64)
        return trace.traceparent(attempt.span_id)

    def ended(self, record: ExchangeRecord, trace: Trace) -> None:
        """Hand the spans of an exchange on; they are sent later, by a thread."""
        if not trace.sampled:
            return
        spans = spans_of(
            record,
            trace,
            scheme=self._scheme,
            over_tls=self._over_tls,
            new_id=lambda: new_id(self._bits, 64),
        )
        for span in spans:
            self._hand_on(span, trace)

    def _hand_on(self, record: SpanRecord, trace: Trace) -> None:
        self._ids.trace_id, self._ids.span_id = trace.trace_id, record.span_id
        context = Context()
        if record.parent_id is not None:
            parent = SpanContext(
                trace.trace_id, record.parent_id, is_remote=record.kind == "server", trace_flags=TraceFlags(trace.flags)
            )
            context = set_span_in_context(NonRecordingSpan(parent), context)
        span = self._tracer.start_span(
            record.name,
            context,
            _KINDS[record.kind],
            record.attributes,
            start_time=record.start,
        )
        for name, at in record.events:
            span.add_event(name, timestamp=at)
        if record.failed:
            span.set_status(Status(StatusCode.ERROR, record.why))
        span.end(record.end)

    def close(self) -> None:
        """Send what is left, unless that takes too long: a collector that is gone keeps nobody from ending."""
        ending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        ending.start()
        ending.join(_LAST_SPANS)


class _GivenIds(IdGenerator):
    """Spans get the ids that were on the wire before there were spans."""

    trace_id = span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


def _batches(settings: TracingSettings) -> BatchSpanProcessor:
    session = requests.Session()
    session.trust_env = False  # else HTTP_PROXY would apply to 127.0.0.1, too
    if not settings.allow_public:
        for scheme in ("http://", "https://"):
            session.mount(scheme, NearAdapter())
    return BatchSpanProcessor(
        OTLPSpanExporter(f"{settings.otlp_endpoint}/v1/traces", session=session),
        max_queue_size=settings.queue,
        schedule_delay_millis=settings.schedule_delay * 1000,
        max_export_batch_size=min(_BATCH, settings.queue),
    )
