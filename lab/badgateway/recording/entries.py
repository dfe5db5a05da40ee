"""What a recording consists of, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from badgateway.chain.traces import decision

PASSING = frozenset((
    "host", "user-agent", "accept", "accept-encoding", "content-length", "connection", "keep-alive", "te", "trailer",
    "transfer-encoding", "upgrade", "expect", "via", "forwarded", "x-forwarded-for", "x-forwarded-proto",
    "x-forwarded-host", "x-request-id", "traceparent", "tracestate",
))  # fmt: skip
"""Fields that are the client's or the connection's: another client sends its own."""

SECRET = frozenset(("authorization", "proxy-authorization", "cookie"))
"""Fields that do not belong into a file that one shares."""


_DECIDING: Final = ("hop", "status", "generated", "error", "cache", "attempts")
"""What of a hop's record tells who decided."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something that somebody had the lab do, as a step of a scenario; `at` is epoch seconds."""

    at: float
    step: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and what became of it. Times are epoch seconds."""

    at: float
    ended: float
    request_id: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    expect: Mapping[str, Any] = field(default_factory=dict, compare=False)
    left_out: frozenset[str] = frozenset()
    """What it had that is not here: a field's name, or `body`."""

    def like(self, other: Asked) -> bool:
        """Whether both are the same request with the same outcome."""
        mine = (self.method, self.path, self.headers, self.body, self.expect)
        return mine == (other.method, other.path, other.headers, other.body, other.expect)


@dataclass(slots=True)
class Recording:
    """What has happened so far. `hops`, outermost first: what the first one is asked are the clients' requests."""

    hops: Sequence[str]
    entries: list[Order | Asked]
    fired: set[str] = field(default_factory=set)
    """Ids of the faults that struck."""
    ways: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    """By request id, the exchange record of each hop that told of it."""

    def note(self, event: Mapping[str, Any] | None) -> None:
        """Take in an event of the lab, as `GET /api/events` has it (None for none)."""
        if event is None:
            return
        data = event["data"]
        if event["kind"] == "exchange":
            way = self.ways.setdefault(str(data["request_id"]), {})
            way[str(event["node"])] = {key: data[key] for key in _DECIDING}
            if event["node"] == self.hops[0]:
                self.entries.append(asked(event))
        elif event["kind"] == "order" and "keep_request" not in str(data):  # which recording itself orders
            self.entries.append(order(event))
        elif event["kind"] == "firing":
            self.fired.add(str(data["fault"]))
        elif event["kind"] == "fault" and _struck_at_once(data):
            self.fired.add(str(data["id"]))

    def outcome(self, request_id: str) -> dict[str, Any]:
        """Who decided and why, and how often those hops tried that did so more than once; empty where none told."""
        told = self.ways.get(request_id, {})
        way = [told[hop] for hop in self.hops if hop in told]
        if not way:
            return {}
        decided_by, error = decision(way)
        attempts = {record["hop"]: len(record["attempts"]) for record in way if len(record["attempts"]) > 1}
        return {"decided_by": decided_by, "error": error, "attempts": attempts}


def _struck_at_once(fault: Mapping[str, Any]) -> bool:
    """Whether it was set in a process, which is where it happened then."""
    return fault["what"] == "set" and fault["category"] == "process" and not fault["when"]


def order(event: Mapping[str, Any]) -> Order:
    """The entry of an `order` event."""
    return Order(float(event["time"]), dict(event["data"]))


def asked(event: Mapping[str, Any]) -> Asked:
    """The entry of an `exchange` event of the outermost hop."""
    record = event["data"]
    kept = record.get("request") or {"headers": [], "body": None}
    headers, left_out = _headers(kept["headers"])
    if kept["body"] is None and (record.get("request") or record["request_bytes"]):
        left_out |= {"body"}
    started = float(record["started"])
    return Asked(
        started,
        started + float(record["duration"]),
        str(record["request_id"]),
        str(record["method"]),
        str(record["target"]),
        tuple(headers),
        kept["body"] or None,
        _outcome(record),
        frozenset(left_out),
    )


def _headers(given: Iterable[Iterable[str]]) -> tuple[list[tuple[str, str]], set[str]]:
    kept, left_out = [], set()
    for name, value in given:
        if name.lower() in SECRET:
            left_out.add(name.lower())
        elif name.lower() not in PASSING:
            kept.append((name, value))
    return kept, left_out


def _outcome(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a client must see again; nothing where it did not wait for it."""
    if record.get("client_gone") or record.get("status") is None:
        return {}
    expect: dict[str, Any] = {"status": record["status"]}
    if record.get("truncated"):
        expect["truncated"] = True
    return expect
