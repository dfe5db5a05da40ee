"""The tracing section of a hop's configuration: OpenTelemetry traces, off unless asked for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from badgateway_proxy.configuration.durations import PositiveDuration
from badgateway_proxy.configuration.settings import Section, text_default
from badgateway_proxy.policies.near_addresses import is_near

#: What the extra `otel` brings, and tracing imports.
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


def _otlp_endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{url[:60]!r} is no OTLP endpoint: write its base URL, such as http://127.0.0.1:4318")
    return url.rstrip("/")


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package around it
        return False


class TracingSettings(Section):
    """OpenTelemetry traces: one SERVER span for an exchange, one CLIENT span for each attempt. Off by default."""

    enabled: bool = False
    """Whether it traces. Needs the extra: pip install "badgateway[otel]"."""
    otlp_endpoint: Annotated[str, AfterValidator(_otlp_endpoint)] = "http://127.0.0.1:4318"
    """Where spans are sent, by OTLP over HTTP: to /v1/traces below it. OpenTelemetry: OTEL_EXPORTER_OTLP_ENDPOINT
    (whose other variables, such as OTEL_EXPORTER_OTLP_HEADERS, are obeyed)."""
    allow_public: bool = False
    """Send them to a public address, too, not only to loopback, private and link-local ones."""
    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Which share of the traces that begin here is recorded; in one that began elsewhere the caller's sampled flag
    decides. OpenTelemetry: parentbased_traceidratio."""
    queue: Annotated[int, Field(ge=1, le=100_000)] = 2048
    """So many spans may wait to be sent; beyond it the oldest are dropped. OpenTelemetry: OTEL_BSP_MAX_QUEUE_SIZE."""
    schedule_delay: PositiveDuration = text_default("1s")
    """How long spans are gathered before they are sent together. OpenTelemetry: OTEL_BSP_SCHEDULE_DELAY."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        host = urlsplit(self.otlp_endpoint).hostname or ""
        if not (self.allow_public or _may_be_near(host)):
            raise ValueError(f"otlp_endpoint: {host} is a public address; allow_public: true allows that")
        if self.enabled and not all(map(_installed, _NEEDED)):
            raise ValueError('OpenTelemetry is not installed; run: pip install "badgateway[otel]"')
        return self


def _may_be_near(host: str) -> bool:
    """Whether a host is not known to be public; what a name stands for shows when it is connected to."""
    try:
        return is_near(host)
    except ValueError:
        return True
