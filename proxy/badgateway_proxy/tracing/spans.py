"""The spans of an exchange, made of its record once it is over: one SERVER span, and one CLIENT span per attempt.

Pure, and without OpenTelemetry. Names and attributes: its semantic conventions for HTTP spans
(https://opentelemetry.io/docs/specs/semconv/http/http-spans/); what they have no word for begins with `badgateway.`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from badgateway_proxy.errors import Phase
from badgateway_proxy.records import METHODS, AttemptRecord, ExchangeRecord
from badgateway_proxy.tracing.trace_context import Trace

Attribute = str | int | float | bool

#: Query parameters whose values are secrets, as the conventions list them (attribute url.query).
_SECRETS = re.compile(r"((?:^|&)(?:AWSAccessKeyId|Signature|sig|X-Goog-Signature)=)[^&]*")
_PHASES = (Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.RECEIVE)


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span. Times are nanoseconds since the epoch.

    ``parent_id``: None for the first of a trace. ``failed``: its status is Error, ``why`` in words.
    """

    kind: Literal["server", "client"]
    name: str
    span_id: int
    parent_id: int | None
    start: int
    end: int
    attributes: Mapping[str, Attribute]
    failed: bool
    why: str | None
    events: tuple[tuple[str, int], ...] = ()


def spans_of(
    record: ExchangeRecord, trace: Trace, *, scheme: str, over_tls: Set[str], new_id: Callable[[], int]
) -> Iterator[SpanRecord]:
    """The exchange's span, then its attempts' in their order.

    Args:
        record: of the exchange, which is over.
        trace: that it belongs to.
        scheme: what clients speak to the hop: http or https.
        over_tls: the endpoints that TLS is spoken to, as records name them.
        new_id: makes the span ids of attempts that sent nothing, and so have none.
    """
    start = _nanoseconds(record.started)
    yield SpanRecord(
        "server",
        _name(record.method),
        trace.span_id,
        trace.parent_id,
        start,
        start + _nanoseconds(record.duration),
        {**_method(record.method), **_asked(record, trace, scheme), **_became(record)},
        _failed(record),
        record.details,
    )
    for resends, attempt in enumerate(record.attempts):
        begun = start + _nanoseconds(attempt.started)
        took = attempt.connect + attempt.send + attempt.wait + attempt.receive
        yield SpanRecord(
            "client",
            _name(record.method),
            attempt.span_id or new_id(),
            trace.span_id,
            begun,
            begun + _nanoseconds(took),
            _attempted(record, attempt, resends, "https" if attempt.endpoint in over_tls else "http"),
            attempt.error is not None or (attempt.status or 0) >= 400,
            attempt.details,
            tuple(_events(attempt, begun)),
        )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _name(method: str) -> str:
    """A hop knows no routes, so that the method is all of a span's name."""
    return method if method in METHODS else "HTTP"


def _method(method: str) -> dict[str, Attribute]:
    if method in METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _asked(record: ExchangeRecord, trace: Trace, scheme: str) -> dict[str, Attribute]:
    path, query = _path_and_query(record.target)
    attributes: dict[str, Attribute] = {
        "url.scheme": scheme,
        "url.path": path,
        "badgateway.tier": record.tier,
        "badgateway.request_id": record.request_id,
        "badgateway.breaker": record.breaker,
    }
    if query:
        attributes["url.query"] = query
    if trace.host:
        attributes |= _address("server", trace.host, 443 if scheme == "https" else 80)
    if record.client:
        client = _address("client", record.client, None)
        attributes |= {**client, "network.peer.address": client["client.address"]}
    return attributes


def _became(record: ExchangeRecord) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {"badgateway.generated": record.generated}
    if record.status is not None:
        attributes["http.response.status_code"] = record.status
    if _failed(record):
        attributes["error.type"] = record.error or str(record.status)
    if record.queued:
        attributes["badgateway.queued"] = record.queued
    for key, text in (
        ("badgateway.error", record.error),
        ("badgateway.proxy_status", record.proxy_status),
        ("badgateway.not_retried", record.not_retried),
        ("badgateway.cache", record.cache),
    ):
        if text:
            attributes[key] = str(text)
    for key, happened in (
        ("badgateway.truncated", record.truncated),
        ("badgateway.client_gone", record.client_gone),
    ):
        if happened:
            attributes[key] = True
    return attributes


def _failed(record: ExchangeRecord) -> bool:
    """Whether it is the hop's or its upstream's failure: a 4xx is the client's (status of SERVER spans)."""
    if record.status is None:
        return record.error is not None
    return record.status >= 500 or record.truncated


def _attempted(record: ExchangeRecord, attempt: AttemptRecord, resends: int, scheme: str) -> dict[str, Attribute]:
    path, query = _path_and_query(record.target)
    url = f"{scheme}://{attempt.endpoint}{'' if path == '*' else path}" + (f"?{query}" if query else "")
    attributes = {
        **_method(record.method),
        **_address("server", attempt.endpoint, 443 if scheme == "https" else 80),
        "url.full": url,
        "url.scheme": scheme,
        "network.protocol.version": "1.1",
        "badgateway.phase": str(attempt.phase),
        "badgateway.reused": attempt.reused,
    }
    if resends:
        attributes["http.request.resend_count"] = resends
        attributes["badgateway.backoff"] = attempt.backoff
    if attempt.status is not None:
        attributes["http.response.status_code"] = attempt.status
    if attempt.error is not None:
        attributes["error.type"] = str(attempt.error)
    elif attempt.status is not None and attempt.status >= 400:
        attributes["error.type"] = str(attempt.status)
    if attempt.details and attempt.error is None:
        attributes["badgateway.details"] = attempt.details
    return attributes


def _events(attempt: AttemptRecord, begun: int) -> Iterator[tuple[str, int]]:
    """When each phase was over that did not end the attempt."""
    over = _PHASES.index(Phase(attempt.phase))
    if over > 0 and not attempt.reused:
        yield "connected", begun + _nanoseconds(attempt.connect)
    if over > 1:
        yield "request_sent", begun + _nanoseconds(attempt.connect + attempt.send)
    if over > 2:
        yield "response_head", begun + _nanoseconds(attempt.connect + attempt.send + attempt.wait)


def _path_and_query(target: str) -> tuple[str, str]:
    """Of a request target in any form, without what is secret in it."""
    text = target.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if not text.startswith("/") and "://" in text:
        _, slash, rest = text.partition("://")[2].partition("/")
        text = slash + rest or "/"
    path, _, query = text.partition("?")
    return path, _SECRETS.sub(r"\1REDACTED", query)


def _address(whose: str, address: str, port: int | None) -> dict[str, Attribute]:
    """An address such as `shop`, `127.0.0.1:9001` or `[::1]:9001`; `port` if it names none."""
    host, colon, digits = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, digits = address, ""
    attributes: dict[str, Attribute] = {f"{whose}.address": host.removeprefix("[").removesuffix("]")}
    if digits.isascii() and digits.isdigit() and len(digits) <= 5:
        port = int(digits)
    if port is not None:
        attributes[f"{whose}.port"] = port
    return attributes
