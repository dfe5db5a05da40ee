"""A collector as small as can be: OTLP over HTTP on a socket (https://opentelemetry.io/docs/specs/otlp/#otlphttp), real
protobuf in it, and what came of it kept.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collected:
    """A span, and the service that it is of. Ids are hexadecimal, as on the wire."""

    service: str
    span: Span

    @property
    def kind(self) -> str:
        return str(Span.SpanKind.Name(self.span.kind)).removeprefix("SPAN_KIND_")

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        """`""` for none."""
        return self.span.parent_span_id.hex()

    @property
    def attributes(self) -> dict[str, object]:
        return _values(self.span.attributes)


@dataclass
class Collector:
    """What came, in the order in which it came."""

    url: str = ""
    spans: list[Collected] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)

    def of(self, service: str, kind: str) -> list[Collected]:
        """The spans of a service that are of a kind: SERVER or CLIENT."""
        return [each for each in tuple(self.spans) if (each.service, each.kind) == (service, kind)]

    def take(self, path: str, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.paths.add(path)
        for resource in request.resource_spans:
            service = str(_values(resource.resource.attributes)["service.name"])
            for scope in resource.scope_spans:
                self.spans += [Collected(service, span) for span in scope.spans]


def _values(attributes: Iterable[KeyValue]) -> dict[str, object]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> object:
    which = value.WhichOneof("value")
    return None if which is None else getattr(value, which)


@contextmanager
def collector() -> Iterator[Collector]:
    """Run one on a free port."""
    collected = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collected.take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collected.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            yield collected
        finally:
            server.shutdown()
            serving.join()
