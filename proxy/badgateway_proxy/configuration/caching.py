"""The cache of a hop: what it keeps, for how long, and what it may serve when it is old."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from badgateway_proxy.configuration.durations import Duration
from badgateway_proxy.configuration.settings import Bytes, Section, text_default


def _field_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", name):
        raise ValueError(f"{name[:40]!r} is no field name: write one such as CDN-Cache-Control")
    return name


FieldName = Annotated[str, AfterValidator(_field_name)]


class NegativeSettings(Section):
    """Keeping errors: 5xx responses that do not say themselves how long they are fresh. Off by default."""

    ttl: Duration = text_default("0s")
    """How long a 5xx is fresh that does not say it itself; 0s keeps none, and no-store is obeyed.
    nginx: proxy_cache_valid 500 502 10s. CloudFront: error caching minimum TTL."""
    statuses: tuple[Annotated[int, Field(ge=500, le=599)], ...] = Field(default=(500, 502, 503, 504), strict=False)
    """Which statuses are kept so."""


class CacheSettings(Section):
    """A shared cache by RFC 9111. Off by default."""

    enabled: bool = False
    """Whether the hop has a cache."""
    memory: Bytes = 64 * 1024 * 1024
    """All that is stored together, in bytes; beyond it the least recently used goes. Varnish: -s malloc,64m."""
    objects: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """How many responses are stored; beyond it the least recently used goes."""
    max_object: Bytes = 4 * 1024 * 1024
    """The largest body that is stored, in bytes; a larger one is relayed only."""
    default_ttl: Duration = text_default("0s")
    """How long a response is fresh that says nothing of it and has no Last-Modified either; 0s: not at all. None
    that sets a cookie.
    Varnish: default_ttl. nginx: proxy_cache_valid. CloudFront: default TTL."""
    heuristic_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Without explicit freshness: which share of the time since Last-Modified (RFC 9111 section 4.2.2)."""
    heuristic_max: Duration = text_default("24h")
    """The longest such guess."""
    stale_while_revalidate: Duration = text_default("0s")
    """How long a stale response is served while it is fetched anew, if it does not say itself (RFC 5861).
    Varnish: default_grace. nginx: proxy_cache_use_stale updating."""
    stale_if_error: Duration = text_default("0s")
    """How long a stale response is served when the upstream fails, if it does not say itself (RFC 5861).
    nginx: proxy_cache_use_stale error timeout http_500 http_502 http_503 http_504."""
    negative: NegativeSettings = NegativeSettings()
    """Keeping errors."""
    collapse: bool = True
    """Let one request fetch what several ask for at a time (request collapsing). nginx: proxy_cache_lock."""
    targeted: tuple[FieldName, ...] = Field(default=("CDN-Cache-Control",), strict=False)
    """Response fields that count instead of Cache-Control, the first that is there (RFC 9213)."""
    tags: tuple[FieldName, ...] = Field(default=("Cache-Tag", "Surrogate-Key"), strict=False)
    """Response fields that name tags to purge by, separated by commas or spaces. Cloudflare: Cache-Tag.
    Fastly: Surrogate-Key."""
    obey_clients: bool = True
    """Whether a client's Cache-Control (and Pragma) may ask for something fresher; nginx and Varnish ignore it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_object > self.memory:
            raise ValueError("max_object is larger than memory")
        return self
