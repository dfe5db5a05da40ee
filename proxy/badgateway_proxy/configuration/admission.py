"""Settings of what a hop asks before it forwards anything: maintenance, and limits on how many requests come."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from badgateway_proxy.configuration.durations import PositiveDuration
from badgateway_proxy.configuration.settings import Section, text_default


def _field_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", name):
        raise ValueError(f"{name[:40]!r} is no header name, such as X-API-Key")
    return name


FieldName = Annotated[str, AfterValidator(_field_name)]
Clients = Annotated[int, Field(ge=1, le=1_000_000)]


class MaintenanceSettings(Section):
    """Planned maintenance: every request gets a 503 with Retry-After, and no endpoint is asked. Off by default."""

    enabled: bool = False
    """Whether it is on now. Switch it while the hop runs."""
    lasts: PositiveDuration = text_default("10m")
    """How long it is expected to last, from when it was switched on; Retry-After counts down to its end."""
    overrun: PositiveDuration = text_default("1m")
    """What Retry-After asks for once `lasts` is over and maintenance is still on."""
    retry_after: Literal["seconds", "date"] = "seconds"
    """How Retry-After is written: as a number of seconds, or as a date (RFC 9110 section 10.2.3)."""
    message: Annotated[str, Field(min_length=1, max_length=500)] = "This site is in planned maintenance."
    """What its page says, and the details of its problem document."""


class BandwidthCapSettings(Section):
    """How much a site may send in each period, as web hosts sell it; then 509 until the period ends. Off unless set."""

    bytes: Annotated[int, Field(ge=1)] | None = None
    """How many bytes of responses, their heads included, in each period. A response that has begun is sent whole."""
    period: PositiveDuration = text_default("720h")
    """How long a period is. The first begins when the hop starts, the next when it ends, by the policies' clock."""


def _portal_path(path: str) -> str:
    if not re.fullmatch(r"/[!$&'()*+,;=:@~._/0-9A-Za-z-]{1,200}", path):
        raise ValueError("must be a path such as /captive-portal/login")
    return path


class CaptivePortalSettings(Section):
    """A network's login page before anything else is reached: 511 until a client has logged in. Off by default."""

    enabled: bool = False
    """Whether clients must log in."""
    path: Annotated[str, AfterValidator(_portal_path)] = "/captive-portal/login"
    """Where the login page is, whatever host is asked for. Nothing behind the hop is reached under this path."""
    session: PositiveDuration = text_default("1h")
    """How long a client stays logged in, by the policies' clock."""
    key_header: FieldName | None = None
    """Header whose value says which client it is; without it, or where a request has none, the address that the
    connection comes from, as real portals do it."""
    clients: Clients = 10_000
    """How many clients can be logged in; beyond, the one whose login is oldest is logged out."""


class TokenBucketSettings(Section):
    """A token bucket, in Envoy's words: each request takes a token; tokens come back at an even pace."""

    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)]
    """How many requests may come at once: the size of the bucket. nginx: burst."""
    tokens_per_fill: Annotated[int, Field(ge=1, le=1_000_000)]
    """How many tokens come back in each `fill_interval`. nginx: rate."""
    fill_interval: PositiveDuration = text_default("1s")
    """See `tokens_per_fill`."""


class ClientRateLimitSettings(TokenBucketSettings):
    """A token bucket for each client."""

    key_header: FieldName | None = None
    """Header whose value says which client it is, such as X-API-Key; without it, or where a request has none, the
    address that the connection comes from. Whoever may choose the value chooses its bucket."""
    clients: Clients = 10_000
    """How many clients are remembered; beyond, the one not seen for longest is forgotten."""


class RateLimitSettings(Section):
    """How many requests may come, at the pace of the policies' clock. Off unless set."""

    server: TokenBucketSettings | None = None
    """All clients together; then 503 with Retry-After."""
    client: ClientRateLimitSettings | None = None
    """Each client; then 429 with Retry-After, and RateLimit fields on every response."""
