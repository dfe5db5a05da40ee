"""What happened in each exchange: one record, kept in a ring, counted, and told to subscribers.

Records are made on the hot path, so they are plain slots; JSON is made of them only when somebody asks.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from badgateway_proxy.histograms import Durations

if TYPE_CHECKING:
    from badgateway_proxy.tracing.trace_context import Trace

_QUEUE_SIZE = 1000

#: Methods that are counted by name; OpenTelemetry's name for all others is `_OTHER`.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"))


@dataclass(slots=True)
class AttemptRecord:
    """One try against one endpoint. Times are seconds; ``started`` counts from the start of the exchange."""

    endpoint: str
    started: float
    local: str | None = None
    reused: bool = False
    connect: float = 0.0
    send: float = 0.0
    wait: float = 0.0
    receive: float = 0.0
    phase: str = "connect"
    """The phase in which it ended."""
    status: int | None = None
    error: str | None = None
    details: str | None = None
    first_bytes: bytes = b""
    """What the peer sent first; set only when something was wrong with it."""
    backoff: float = 0.0
    """The pause before this attempt."""
    span_id: int = 0
    """Of its span, as the endpoint was told; 0 for none."""
    hedge: bool = False
    """Whether it began beside one that was late."""

    def as_dict(self) -> dict[str, Any]:
        """The attempt as JSON."""
        return {
            "endpoint": self.endpoint,
            "local": self.local,
            "reused": self.reused,
            "started": round(self.started, 6),
            "phases": {
                "connect": round(self.connect, 6),
                "send": round(self.send, 6),
                "wait": round(self.wait, 6),
                "receive": round(self.receive, 6),
            },
            "phase": self.phase,
            "status": self.status,
            "error": self.error,
            "details": self.details,
            "first_bytes": escape_bytes(self.first_bytes) if self.first_bytes else None,
            "backoff": round(self.backoff, 6),
        }


@dataclass(slots=True)
class ExchangeRecord:
    """One request through one hop. ``started`` is seconds since the epoch, ``duration`` seconds.

    ``generated``: this hop made the response itself, for ``error``. ``truncated``: the client got less than
    was announced. ``client_gone``: it left before it had everything. ``breaker``: its state at the start.
    """

    hop: str
    tier: str
    request_id: str
    started: float
    client: str
    method: str
    target: str
    duration: float = 0.0
    request_bytes: int = 0
    status: int | None = None
    generated: bool = False
    error: str | None = None
    details: str | None = None
    response_bytes: int = 0
    truncated: bool = False
    client_gone: bool = False
    retry_after: float | None = None
    breaker: str = "closed"
    queued: float = 0.0
    """How long it waited for a connection to the upstream, before its first attempt."""
    not_retried: str | None = None
    """Why there was no further attempt, in words; None where retries are off, or nothing had failed."""
    attempts: list[AttemptRecord] = field(default_factory=list)
    proxy_status: str = ""
    """The member that this hop appended."""
    cache: str | None = None
    """How the hop's cache came by the answer (see `cache_status.CacheResult`); None without a cache."""
    cache_status: str = ""
    """The member of Cache-Status that this hop appended."""
    session: str | None = None
    """The session that the request named (see `transport.sessions`)."""
    request: dict[str, Any] | None = None
    """Its headers and body, where they are kept (`keep_request`)."""
    trace: Trace | None = None
    """The trace that it belongs to, where there is tracing."""
    id: int = 0
    """Given by `Recorder.add`, in the order in which exchanges ended."""

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "id": self.id,
            "hop": self.hop,
            "tier": self.tier,
            "request_id": self.request_id,
            "session": self.session,
            "trace_id": None if self.trace is None else f"{self.trace.trace_id:032x}",
            "started": round(self.started, 6),
            "duration": round(self.duration, 6),
            "client": self.client,
            "method": self.method,
            "target": self.target,
            "request_bytes": self.request_bytes,
            "status": self.status,
            "generated": self.generated,
            "error": self.error,
            "details": self.details,
            "response_bytes": self.response_bytes,
            "truncated": self.truncated,
            "client_gone": self.client_gone,
            # Whole seconds, rounded up: what the Retry-After field said (RFC 9110 section 10.2.3).
            "retry_after": None if self.retry_after is None else math.ceil(self.retry_after),
            "breaker": self.breaker,
            "queued": round(self.queued, 6),
            "not_retried": self.not_retried,
            "attempts": [attempt.as_dict() for attempt in self.attempts],
            "proxy_status": self.proxy_status,
            "cache": self.cache,
            "cache_status": self.cache_status,
            "request": self.request,
        }


_VISIBLE = {byte: chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in range(256)} | {
    0x5C: "\\\\",
    0x0D: "\\r",
    0x0A: "\\n",
    0x09: "\\t",
}


def escape_bytes(data: bytes) -> str:
    """``data`` as printable ASCII, as Python would escape it: ``\\x16\\x03\\x01``, ``HTTP/1.1 200\\r\\n``."""
    return "".join(map(_VISIBLE.__getitem__, data))


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell: an exchange ended (a record); the breaker or an endpoint changed its state (a dict)."""

    kind: Literal["exchange", "breaker", "endpoint"]
    data: ExchangeRecord | dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """What happened, as JSON."""
        return self.data.as_dict() if isinstance(self.data, ExchangeRecord) else self.data


class Subscription:
    """Events for one listener, oldest first. A slow one loses the oldest, and ``dropped`` counts them."""

    __slots__ = ("dropped", "queue")

    def __init__(self, size: int = _QUEUE_SIZE) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue(size)
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Add an event, at the cost of the oldest one when the queue is full. Never waits."""
        if self.queue.full():
            self.queue.get_nowait()
            self.dropped += 1
        self.queue.put_nowait(event)


class Recorder:
    """The last ``size`` exchanges of a hop, totals since its start or last reset, and its listeners."""

    def __init__(self, size: int) -> None:
        self._records: deque[ExchangeRecord] = deque(maxlen=size)
        self._subscriptions: list[Subscription] = []
        self._last_id = 0
        self._clear_totals()

    def add(self, record: ExchangeRecord) -> None:
        """Keep a finished exchange's record, give it its id, count it, and tell the subscribers."""
        self._last_id += 1
        record.id = self._last_id
        self._records.append(record)
        status, attempts = record.status, record.attempts
        method = record.method if record.method in METHODS else "_OTHER"
        self.exchanges.add((method, status, record.error), record.duration)
        for attempt in attempts:
            took = attempt.connect + attempt.send + attempt.wait + attempt.receive
            self.attempts.add((attempt.endpoint, method, attempt.status, attempt.error), took)
        if len(attempts) > 1:
            self._retries += len(attempts) - 1
            self._hedges += sum(attempt.hedge for attempt in attempts)
        if record.client_gone:
            self._client_gone += 1
        if record.truncated:
            self._truncated += 1
        if self._subscriptions:
            self.publish(Event("exchange", record))

    @property
    def listeners(self) -> int:
        """How many are subscribed."""
        return len(self._subscriptions)

    def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        for subscription in self._subscriptions:
            subscription.put(event)

    def query(
        self,
        request_id: str | None = None,
        limit: int = 100,
        after: int | None = None,
        session: str | None = None,
    ) -> list[ExchangeRecord]:
        """At most ``limit`` records, oldest first: the latest ones, or with ``after`` the next after that id.

        To page, pass the last id that you have; ids only grow. None: of any request, of any session.
        """
        records = reversed(self._records) if after is None else iter(self._records)
        wanted = (
            each
            for each in records
            if request_id in (None, each.request_id)
            and session in (None, each.session)
            and (after is None or each.id > after)
        )
        found = list(islice(wanted, limit))
        return found if after is not None else found[::-1]

    @contextmanager
    def subscribe(self, size: int = _QUEUE_SIZE) -> Iterator[Subscription]:
        """Events from now on, until the block ends. ``size``: how many wait before the oldest are dropped."""
        subscription = Subscription(size)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def totals(self) -> dict[str, Any]:
        """Counts as JSON: exchanges, by status class and by error type, retries, hedges among them, and so on."""
        statuses: Counter[int] = Counter()
        errors: Counter[str] = Counter()
        for labels, seen in self.exchanges.by_labels.items():
            _, status, error = labels or (None, None, None)
            if status is not None:
                statuses[status // 100] += seen.count
            if error is not None:
                errors[error] += seen.count
        return {
            "exchanges": sum(seen.count for seen in self.exchanges.by_labels.values()),
            "by_status": {f"{klass}xx": count for klass, count in sorted(statuses.items())},
            "by_error": dict(sorted(errors.items())),
            "retries": self._retries,
            "hedges": self._hedges,
            "truncated": self._truncated,
            "client_gone": self._client_gone,
        }

    def resize(self, size: int) -> None:
        """Keep ``size`` records from now on: the newest of those there are."""
        if size != self._records.maxlen:
            self._records = deque(self._records, maxlen=size)

    def clear(self) -> None:
        """Forget records and totals. Ids go on, so that whoever pages misses nothing; subscribers stay."""
        self._records.clear()
        self._clear_totals()

    def _clear_totals(self) -> None:
        #: How long exchanges took, by method, status and the hop's own error type.
        self.exchanges: Durations[tuple[str, int | None, str | None]] = Durations()
        #: How long attempts took, by endpoint, method, status and error type.
        self.attempts: Durations[tuple[str, str, int | None, str | None]] = Durations()
        self._retries = self._hedges = self._truncated = self._client_gone = 0
