"""One request's way through the chain: the records of every hop and instance, joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

APP = "app"
"""What decided when no hop did."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """What every node recorded of one request.

    `hops`: exchange records, outermost hop first. `app`: instances' request records, each with its
    `instance`. `firings`: the faults that struck it. `decided_by`: the hop that made the response, or
    "app". `error`: the RFC 9209 error type that this hop gave, if any.
    """

    request_id: str
    hops: list[dict[str, Any]]
    app: list[dict[str, Any]]
    firings: list[dict[str, Any]]
    decided_by: str
    error: str | None

    def to_json(self) -> dict[str, Any]:
        """The trace as plain data."""
        return asdict(self)


def join(
    hops: Sequence[str],
    exchanges: Iterable[Record],
    requests: Iterable[Record],
    firings: Iterable[Record],
) -> list[Trace]:
    """Join records into one trace a request, in the order in which the requests reached the chain.

    `hops` are the hops' names, outermost first. A firing belongs to a request by its id or, if it struck
    before the instance could read one, by the address from which the innermost hop had connected (the
    record's attempts). Of several exchanges of one hop under one id (a client that sends its own twice)
    each stays, oldest first.
    """
    place = {name: index for index, name in enumerate(hops)}
    by_id: dict[str, list[Record]] = {}
    for exchange in exchanges:
        by_id.setdefault(str(exchange["request_id"]), []).append(exchange)
    seen: dict[str, list[Record]] = {}
    for request in requests:
        seen.setdefault(str(request.get("request_id")), []).append(request)
    struck = list(firings)
    traces = [
        _trace(request_id, sorted(found, key=lambda r: (place[r["hop"]], r["started"])), seen, struck)
        for request_id, found in by_id.items()
    ]
    return sorted(traces, key=lambda trace: float(min(record["started"] for record in trace.hops)))


def _trace(
    request_id: str, hops: Sequence[Record], seen: Mapping[str, Sequence[Record]], firings: Sequence[Record]
) -> Trace:
    mine = [firing for firing in firings if _struck(firing, request_id, hops)]
    decided_by, error = decision(hops)
    return Trace(
        request_id,
        hops=[dict(record) for record in hops],
        app=[dict(record) for record in seen.get(request_id, ())],
        firings=[dict(firing) for firing in mine],
        decided_by=decided_by,
        error=error,
    )


def _struck(firing: Record, request_id: str, hops: Sequence[Record]) -> bool:
    if firing.get("request_id") is not None:
        return bool(firing["request_id"] == request_id)
    peer = firing.get("peer")
    if peer is None:
        return False
    for record in hops:
        # a port may serve many connections one after the other: the firing must fall into this exchange
        start, end = record["started"], record["started"] + record["duration"]
        at_the_time = start - CLOCK_SLACK <= firing["time"] <= end + CLOCK_SLACK
        if at_the_time and any(attempt.get("local") == peer for attempt in record["attempts"]):
            return True
    return False


CLOCK_SLACK = 0.05
"""Seconds: all nodes read one machine's clock, but each rounds and records at its own moment."""


def decision(hops: Sequence[Record]) -> tuple[str, str | None]:
    """Who made the response that the client got, and with what error type, by the records of its way.

    Read from the outermost hop inwards: the first that made its own decided, as all before it relayed that.
    (What hops further in made as well, a little later, went nowhere.) In Proxy-Status that is the member
    with an `error`.
    """
    for record in hops:
        if record.get("generated"):
            return str(record["hop"]), record.get("error")
    for record in reversed(hops):
        if record.get("error") is not None:
            # the head had been relayed when it went wrong, so the response is still the app's; or nothing
            # was sent
            return (APP if record.get("status") is not None else str(record["hop"])), str(record["error"])
    return APP, None
