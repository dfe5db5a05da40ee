"""What the control API takes and answers, as types: the OpenAPI document is made from them.

Tests hold them against what a running lab really answers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from badgateway_proxy import Duration

Seconds = Annotated[float, Field(description="Seconds.")]
Epoch = Annotated[float, Field(description="Seconds since the epoch.")]


class Error(BaseModel):
    """What is wrong, and what to do."""

    error: str


class Health(BaseModel):
    """That the process is up."""

    status: Literal["ok"]


class Node(BaseModel):
    """A hop or an instance."""

    name: str
    tier: str
    kind: Literal["hop", "instance"]
    url: Annotated[str, Field(description="Where it takes requests.")]
    admin: Annotated[str, Field(description="Its own admin API.")]
    pid: int | None
    state: Literal["starting", "running", "frozen", "exited"]
    exit: Annotated[str | None, Field(description="How it ended.")]
    restarts: int
    breaker: dict[str, Any] | None


class Chain(BaseModel):
    """The chain. `url`: its outermost hop."""

    url: str
    nodes: list[Node]
    spec: Annotated[dict[str, Any], Field(description="What it was started with, as under `chain:` in a scenario.")]


class Restarted(Chain):
    """The chain, and which faults and patches ended with the process."""

    lost: list[str]


class Firing(BaseModel):
    """One time that a fault acted. `request_id` and `peer`: on what, as far as it is known."""

    fault: str
    kind: str
    n: int
    firing: str
    instance: str
    request_id: str | None
    peer: str | None
    time: Epoch
    event: str = "firing"


class Part(BaseModel):
    """A fault on one process. `over`: why it acts there no more; empty while it does."""

    node: str
    fired: int
    proof: str
    over: str


class Fault(BaseModel):
    """A fault. `proof`: what shows that it happened; `parts`: the same, process by process."""

    id: str
    target: str
    kind: str
    category: Literal["process", "connection", "response", "flow", "app", "user"]
    attributes: dict[str, Any]
    when: dict[str, Any]
    active: bool
    fired: int
    firings: list[Firing]
    set_at: Epoch
    expires_in: Seconds
    proof: str
    parts: list[Part]


class Cleared(BaseModel):
    """How many faults ended."""

    cleared: int


class BreakerOrder(BaseModel):
    """What a breaker is to do."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["force_open", "force_closed", "reset", "disable"]


class Purged(BaseModel):
    """How many responses a cache forgot."""

    purged: int


class ClockOrder(BaseModel):
    """How far the clock is to run ahead."""

    model_config = ConfigDict(extra="forbid")

    advance: Duration


class Advanced(BaseModel):
    """How far it did."""

    advanced: Duration


class Phases(BaseModel):
    """How long each phase of an attempt took."""

    connect: Seconds
    send: Seconds
    wait: Seconds
    receive: Seconds


class Attempt(BaseModel):
    """One try against one endpoint. `started`: after the exchange did; `phase`: the one in which it ended;
    `first_bytes`: what came, where that was wrong.
    """

    endpoint: str
    local: str | None
    reused: bool
    started: Seconds
    phases: Phases
    phase: Literal["connect", "send", "wait", "receive"]
    status: int | None
    error: str | None
    details: str | None
    first_bytes: str | None
    backoff: Seconds


class HopRecord(BaseModel):
    """One request through one hop. `generated`: it made the response itself, for `error`; `queued`: how long it waited
    for a connection to the upstream; `not_retried`: why there was no further attempt; `cache`: how its cache came by
    the answer; `request`: what was sent, where `keep_request` is set; `trace_id`: 32 hexadecimal digits, null where
    the hop does not trace.
    """

    id: int
    hop: str
    tier: str
    request_id: str
    session: str | None
    trace_id: str | None
    started: Epoch
    duration: Seconds
    client: str
    method: str
    target: str
    request_bytes: int
    status: int | None
    generated: bool
    error: str | None
    details: str | None
    response_bytes: int
    truncated: bool
    client_gone: bool
    retry_after: int | None
    breaker: str
    queued: Seconds
    not_retried: str | None
    attempts: list[Attempt]
    proxy_status: str
    cache: str | None
    cache_status: Annotated[str, Field(description="What it added to Cache-Status (RFC 9211).")]
    request: dict[str, Any] | None


class AppRecord(BaseModel):
    """One request as an instance saw it. `firings`: of which faults."""

    id: int
    request_id: str | None
    peer: str
    method: str
    target: str
    started: Epoch
    status: int | None
    firings: list[str]
    duration: float | None
    instance: str


class Exchange(BaseModel):
    """One request's way through the chain. `hops`: outermost first; `decided_by`: the hop that made the response, or
    "app"; `error`: the RFC 9209 error type that it gave.
    """

    request_id: str
    hops: list[HopRecord]
    app: list[AppRecord]
    firings: list[Firing]
    decided_by: str
    error: str | None
