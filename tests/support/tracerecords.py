"""Exchange records and nodes as the lab gives them, for tests of what draws them."""

from __future__ import annotations

from typing import Any

from badgateway.chain.traces import Trace

STARTED = 1_763_888_888.0


def node(name: str, **over: Any) -> dict[str, Any]:
    """A node of GET /api/chain; app-N is an instance."""
    port = {"cdn": 8080, "lb": 8081}.get(name) or 9000 + int(name.removeprefix("app-"))
    instance = name.startswith("app")
    return {
        "name": name,
        "tier": "app" if instance else name,
        "kind": "instance" if instance else "hop",
        "url": f"http://127.0.0.1:{port}",
        "pid": port,
        "state": "running",
        "exit": None,
        "breaker": None if instance else "closed",
        **over,
    }


CHAIN = [node("cdn"), node("lb"), node("app-1"), node("app-2")]
NAMES = {"127.0.0.1:8080": "cdn", "127.0.0.1:8081": "lb", "127.0.0.1:9001": "app-1", "127.0.0.1:9002": "app-2"}


def attempt(endpoint: str, *, started: float = 0.0, **over: Any) -> dict[str, Any]:
    """One attempt; `connect`, `send`, `wait`, `receive` are its phases in seconds."""
    phases = {name: over.pop(name, 0.0) for name in ("connect", "send", "wait", "receive")}
    return {
        "endpoint": endpoint,
        "local": "127.0.0.1:50000",
        "reused": False,
        "started": started,
        "phases": phases,
        "phase": "receive",
        "status": 200,
        "error": None,
        "details": None,
        "first_bytes": None,
        "backoff": 0.0,
        **over,
    }


def record(hop: str, *attempts: dict[str, Any], started: float = 0.0, **over: Any) -> dict[str, Any]:
    """One hop's exchange record; `started` is seconds after STARTED."""
    return {
        "id": 1,
        "hop": hop,
        "tier": hop,
        "request_id": "r-1",
        "started": STARTED + started,
        "duration": 0.01,
        "method": "GET",
        "target": "/products",
        "status": 200,
        "generated": False,
        "error": None,
        "details": None,
        "truncated": False,
        "client_gone": False,
        "breaker": "closed",
        "cache": None,
        "attempts": list(attempts),
        "proxy_status": "",
        **over,
    }


def trace(
    *hops: dict[str, Any],
    app: list[dict[str, Any]] | None = None,
    firings: list[dict[str, Any]] | None = None,
    decided_by: str = "app",
    error: str | None = None,
) -> Trace:
    """A joined trace."""
    return Trace("r-1", list(hops), app or [], firings or [], decided_by, error)


def healthy() -> Trace:
    """A 200 through the whole chain."""
    return trace(
        record("cdn", attempt("127.0.0.1:8081", connect=0.001, wait=0.008, receive=0.001), duration=0.01),
        record("lb", attempt("127.0.0.1:9001", connect=0.001, wait=0.005), started=0.002, duration=0.006),
        app=[{"instance": "app-1", "status": 200, "firings": [], "started": STARTED + 0.003, "duration": 0.004}],
    )


def refused() -> Trace:
    """A 502 that the LB decided: nobody listens."""
    failed = attempt(
        "127.0.0.1:9001", connect=0.001, phase="connect", status=None, error="connection_refused", local=None
    )
    return trace(
        record("cdn", attempt("127.0.0.1:8081", wait=0.003, status=502), status=502),
        record("lb", failed, started=0.001, status=502, generated=True, error="connection_refused", details="to app-1"),
        decided_by="lb",
        error="connection_refused",
    )


def hung() -> Trace:
    """A 504 that the LB decided after 0.8 s."""
    failed = attempt("127.0.0.1:9001", wait=0.8, phase="wait", status=None, error="http_response_timeout")
    return trace(
        record("cdn", attempt("127.0.0.1:8081", wait=0.802, status=504), status=504, duration=0.802),
        record("lb", failed, status=504, generated=True, error="http_response_timeout", duration=0.8),
        app=[{"instance": "app-1", "status": None, "firings": ["f-1.1"], "started": STARTED, "duration": 0.8}],
        firings=[{"fault": "f-1", "kind": "hang", "firing": "f-1.1", "instance": "app-1"}],
        decided_by="lb",
        error="http_response_timeout",
    )
