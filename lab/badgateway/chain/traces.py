"""One request's way through the chain: the records of every hop and instance, joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

APP = "app"
"""What decided when no hop did."""

FROM_STORE = frozenset(("hit", "stale"))
"""What a record's `cache` says where the hop answered with what it had stored."""

CLOCK_SLACK = 0.05
"""Seconds: all nodes read one machine's clock, but each rounds and records at its own moment."""
OPENING_SLACK = 0.005
"""Seconds: likewise, where the time is all there is to go by."""

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
    listening: Mapping[str, str],
) -> list[Trace]:
    """Join records into one trace a request, in the order in which the requests reached the chain.

    `hops` are the hops' names, outermost first; `listening` tells each instance's address (`127.0.0.1:9001`). A firing
    belongs to a request by its id or, if it struck before the instance could read one, by the connection that it
    struck. Of several exchanges of one hop under one id (a client that sends its own twice) each stays, oldest first.
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
        _trace(request_id, sorted(found, key=lambda r: (place[r["hop"]], r["started"])), seen, struck, listening)
        for request_id, found in by_id.items()
    ]
    return sorted(traces, key=lambda trace: float(min(record["started"] for record in trace.hops)))


def _trace(
    request_id: str,
    hops: Sequence[Record],
    seen: Mapping[str, Sequence[Record]],
    firings: Sequence[Record],
    listening: Mapping[str, str],
) -> Trace:
    mine = [firing for firing in firings if _struck(firing, request_id, hops, listening)]
    decided_by, error = decision(hops)
    return Trace(
        request_id,
        hops=[dict(record) for record in hops],
        app=[dict(record) for record in seen.get(request_id, ())],
        firings=[dict(firing) for firing in mine],
        decided_by=decided_by,
        error=error,
    )


def _struck(firing: Record, request_id: str, hops: Sequence[Record], listening: Mapping[str, str]) -> bool:
    if firing.get("request_id") is not None:
        return bool(firing["request_id"] == request_id)
    if firing.get("peer") is None:
        return False
    return any(_met(firing, record, attempt, listening) for record in hops for attempt in record["attempts"])


def _met(firing: Record, record: Record, attempt: Record, listening: Mapping[str, str]) -> bool:
    """Whether a firing struck the connection of an attempt: the same address at the same time, as ports come again.

    A connection that was reset as it opened has no address of its own left to record; then it is the one that was
    being opened to that instance at that very moment.
    """
    start = float(record["started"]) + float(attempt["started"])
    late = float(firing["time"]) - start
    lasted = sum(attempt["phases"].values())
    if attempt.get("local") is not None:
        rest = float(record["duration"]) - float(attempt["started"])
        return bool(attempt["local"] == firing["peer"]) and -CLOCK_SLACK <= late <= rest + CLOCK_SLACK
    address = listening.get(str(firing.get("instance")))
    return bool(attempt["endpoint"] == address) and -OPENING_SLACK <= late <= lasted + OPENING_SLACK


def decision(hops: Sequence[Record]) -> tuple[str, str | None]:
    """Who made the response that the client got, and with what error type, by the records of its way.

    Read from the outermost hop inwards: the first that made its own decided, as all before it relayed that.
    (What hops further in made as well, a little later, went nowhere.) In Proxy-Status that is the member
    with an `error`. What comes from a cache was made by that cache, whatever went wrong behind it.
    """
    for number, record in enumerate(hops):
        if record.get("generated"):
            return str(record["hop"]), record.get("error")
        if record.get("cache") in FROM_STORE:
            return str(record["hop"]), _covered_up(record, hops[number + 1 :])
    for record in reversed(hops):
        if record.get("error") is not None:
            # the head had been relayed when it went wrong, so the response is still the app's; or nothing
            # was sent
            return (APP if record.get("status") is not None else str(record["hop"])), str(record["error"])
    return APP, None


def _covered_up(record: Record, behind: Sequence[Record]) -> str | None:
    """The error in whose place a cache answered, if there was one: the hop's own, or that of a hop behind it."""
    if behind:
        return decision(behind)[1]
    attempts = record.get("attempts") or ()
    error = attempts[-1].get("error") if attempts else None
    return None if error is None else str(error)
