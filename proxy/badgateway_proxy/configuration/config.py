"""The whole configuration of one hop, how it is read, and how it is changed while the hop runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from badgateway_proxy.configuration.admission import (
    BandwidthCapSettings,
    CaptivePortalSettings,
    MaintenanceSettings,
    RateLimitSettings,
)
from badgateway_proxy.configuration.balancing_settings import BalancingSettings
from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.configuration.config_problems import (
    ConfigError,
    ConfigProblem,
    ImmutableFieldError,
    hint,
    problems_of,
)
from badgateway_proxy.configuration.durations import Duration
from badgateway_proxy.configuration.health_settings import HealthSettings, OutlierSettings
from badgateway_proxy.configuration.http1_settings import Http1Settings
from badgateway_proxy.configuration.loops import LoopSettings
from badgateway_proxy.configuration.resolver_settings import ResolverSettings
from badgateway_proxy.configuration.settings import (
    AdminSettings,
    BreakerSettings,
    LimitSettings,
    ListenSettings,
    PoolSettings,
    RetrySettings,
    Section,
    TimeoutSettings,
    text_default,
)
from badgateway_proxy.configuration.tls_settings import TlsSettings, UpstreamTlsSettings
from badgateway_proxy.configuration.tracing_settings import TracingSettings
from badgateway_proxy.configuration.upstream_limits import AdaptiveConcurrencySettings, UpstreamLimitSettings
from badgateway_proxy.policies.balancer import parse_endpoint
from badgateway_proxy.policies.profiles import PROFILES

__all__ = [
    "IMMUTABLE",
    "ConfigError",
    "ConfigProblem",
    "HopConfig",
    "ImmutableFieldError",
    "load_config",
    "merge_patch",
    "parse_yaml",
    "public_view",
    "read_yaml",
    "unknown_endpoints",
]

IMMUTABLE: Final = ("name", "tier", "listen", "tls", "admin", "tracing", "exit_with_stdin")
"""Fields that only a restart can change: they are in sockets, in other people's records, and in threads."""


def _hop_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z]{0,63}", name):
        raise ValueError("must be a letter, then letters, digits, or - . _ (64 at most): it is sent in headers")
    return name


def _profile(profile: str) -> str:
    if profile not in PROFILES:
        raise ValueError(f"there is no profile {profile[:40]!r}; there is {', '.join(sorted(PROFILES))}")
    return profile


def _upstream(upstream: str) -> str:
    parse_endpoint(upstream)
    return upstream


class HopConfig(Section):
    """One hop: what it is called, where it listens, where it sends, and how patient it is."""

    name: Annotated[str, AfterValidator(_hop_name)] = "proxy"
    """What the hop calls itself in Via and Proxy-Status (an RFC 8941 token)."""
    tier: Literal["cdn", "lb", "proxy"] = "proxy"
    """Its place in the chain."""
    profile: Annotated[str, AfterValidator(_profile)] = "rfc9209"
    """Whose status codes it uses."""
    listen: ListenSettings = ListenSettings()
    """Where clients connect."""
    admin: AdminSettings = AdminSettings()
    """The admin API."""
    upstreams: tuple[Annotated[str, AfterValidator(_upstream)], ...] = Field(min_length=1, strict=False)
    """Where it sends: a list, at least one, of http://127.0.0.1:9001 (or only 127.0.0.1:9001) and https://127.0.0.1:9001."""
    tls: TlsSettings = TlsSettings()
    """TLS towards clients."""
    upstream_tls: UpstreamTlsSettings = UpstreamTlsSettings()
    """TLS towards the upstreams."""
    resolver: ResolverSettings = ResolverSettings()
    """How names of upstreams are looked up."""
    allow_public_upstreams: bool = False
    """Send to public addresses too, not only to loopback, private and link-local ones."""
    balancing: BalancingSettings = BalancingSettings()
    """Which endpoint gets the next request."""
    health: HealthSettings = HealthSettings()
    """Active health checks."""
    outlier: OutlierSettings = OutlierSettings()
    """Passive health checks: ejecting endpoints whose requests fail."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """How long it waits, for each thing that it waits for."""
    retry: RetrySettings = RetrySettings()
    """When it tries again by itself."""
    breaker: BreakerSettings = BreakerSettings()
    """The circuit breaker for the upstream."""
    cache: CacheSettings = CacheSettings()
    """A shared cache (RFC 9111)."""
    limits: LimitSettings = LimitSettings()
    """How large things may be."""
    pool: PoolSettings = PoolSettings()
    """Connections kept open to endpoints."""
    http1: Http1Settings = Http1Settings()
    """How requests are read."""
    maintenance: MaintenanceSettings = MaintenanceSettings()
    """Planned maintenance: a 503 for everybody."""
    captive_portal: CaptivePortalSettings = CaptivePortalSettings()
    """A login page before anything else is reached."""
    bandwidth_cap: BandwidthCapSettings = BandwidthCapSettings()
    """How much may be sent in a period."""
    rate_limit: RateLimitSettings = RateLimitSettings()
    """How many requests may come."""
    loop: LoopSettings = LoopSettings()
    """How it notices that a request has been here before."""
    upstream_limits: UpstreamLimitSettings = UpstreamLimitSettings()
    """How much may be under way to the upstream."""
    adaptive_concurrency: AdaptiveConcurrencySettings = AdaptiveConcurrencySettings()
    """A limit on requests under way to the upstream that finds itself."""
    keep_first_bytes: Annotated[int, Field(ge=0, le=65536)] = 256
    """How many of the first bytes that an upstream sent are kept and shown when something was wrong."""
    records: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """How many exchange records are kept."""
    keep_request: Annotated[int, Field(ge=0, le=65536)] = 0
    """How many bytes of a request's body are kept in its record, with its headers, so that it can be sent again.
    0 keeps neither. They may hold secrets."""
    log_exchanges: bool = False
    """Log each exchange's record as a line of JSON on stderr."""
    tracing: TracingSettings = TracingSettings()
    """OpenTelemetry traces."""
    debug: bool = False
    """Show upstream bytes in error pages. They may hold secrets: never where strangers can see them."""
    exit_with_stdin: bool = False
    """Exit at once when stdin reaches its end, so that nothing outlives a killed parent."""
    drain: Duration = text_default("2s")
    """How long running exchanges may take to finish after SIGTERM."""


def load_config(source: str | Path | Mapping[str, Any]) -> HopConfig:
    """Return the configuration in a YAML 1.2 file (JSON is YAML too) or in a mapping of the same shape.

    Raises `ConfigError` with every problem at once: those of reading, of YAML, of the settings; then those of
    `unknown_endpoints`.
    """
    settings = source if isinstance(source, Mapping) else read_yaml(Path(source))
    try:
        config = HopConfig.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigError(problems_of(error, HopConfig)) from error
    if unknown := unknown_endpoints(config):
        raise ConfigError(unknown)
    return config


def unknown_endpoints(config: HopConfig) -> list[ConfigProblem]:
    """Return which endpoints of ``balancing.weights`` and ``.drain`` are none of the upstreams.

    None under ``resolver.strict_dns``: there the addresses that names stand for are the endpoints, and not known yet.
    """
    if config.resolver.strict_dns:
        return []
    known = dict.fromkeys(parse_endpoint(upstream).text for upstream in config.upstreams)
    named = [("balancing.weights", address) for address in config.balancing.weights]
    named += [(f"balancing.drain[{index}]", address) for index, address in enumerate(config.balancing.drain)]
    return [
        ConfigProblem(path, f"{address} is not among upstreams; {hint(address, known)}")
        for path, address in named
        if address not in known
    ]


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, unvalidated. Raises `ConfigError` when there is none."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([ConfigProblem("", f"cannot read {path}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([ConfigProblem("", f"{path} is no text in UTF-8")]) from error
    settings = parse_yaml(text, str(path))
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        what = f"{path} holds {type(settings).__name__}, not settings such as `name: lb`"
        raise ConfigError([ConfigProblem("", what)])
    return settings


def parse_yaml(text: str, name: str) -> object:
    """Return what ``text`` holds by YAML 1.2's rules. Raises `ConfigError`, calling the text ``name``."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - a tenth of a second that most starts need not pay
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - likewise

    try:
        content: object = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ConfigError([ConfigProblem("", f"{name}{where} is no YAML: {what}")]) from error
    return content


def merge_patch(config: HopConfig, patch: object) -> HopConfig:
    """Return ``config`` changed by a JSON merge patch (RFC 7396): objects merge, null restores a default.

    The result is validated as a whole. Raises `ImmutableFieldError` when the patch would change a field that
    needs a restart (naming it with its present value is allowed), `ConfigError` for everything else.
    """
    if not isinstance(patch, Mapping):
        raise ConfigError([ConfigProblem("", 'a merge patch is a JSON object, such as {"retry": {"attempts": 3}}')])
    changed = load_config(_merge(config.model_dump(mode="json"), patch))
    fixed = [key for key in IMMUTABLE if getattr(changed, key) != getattr(config, key)]
    if fixed:
        raise ImmutableFieldError([ConfigProblem(key, "needs a restart to change") for key in fixed])
    return changed


def _merge(target: object, patch: object) -> Any:
    """RFC 7396 section 2, without changing either argument; but null for what there is not stays, to be refused."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None and (key in merged or not isinstance(target, Mapping)):
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def public_view(config: HopConfig) -> dict[str, Any]:
    """The configuration as JSON, without the admin token."""
    view = config.model_dump(mode="json")
    view["admin"].pop("token")
    return view
