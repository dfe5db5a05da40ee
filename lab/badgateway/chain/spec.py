"""The chain a lab runs: what its CDN, LB and app differ in from the lab's defaults.

A `ChainSpec` holds what somebody wrote, checked by building the true configuration of each component from it,
so that an override is wrong here exactly when the hop or the instance would refuse it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from badgateway.chain.addressing import with_addresses
from badgateway.inputs.validation import Finding, findings, refusal
from badgateway_proxy import HopConfig
from badgateway_upstream import InstanceConfig

MAX_INSTANCES = 16

HOPS = ("cdn", "lb")
"""The chain's hops, outermost first. Each is its own tier."""

TIERS = (*HOPS, "app")

DNS = "dns"
"""The chain's DNS server, where there is one."""

DOMAIN = "lab.test"
"""What the names in it end in (RFC 6761 keeps .test free of others)."""

WIRED = frozenset(("name", "tier", "listen", "admin", "upstreams", "exit_with_stdin"))
"""What the lab decides about a hop, so that a chain cannot."""

WIRED_APP = frozenset(
    ("name", "listen", "admin", "database", "authority", "server_names", "dns", "faults", "exit_with_stdin")
)
"""What the lab decides about an instance. Faults among it: one set behind the lab's back could not be proven."""

# Off, so that every failure shows as what it is; a chain that mentions a hop's breaker switches it on. Small enough
# that a handful of requests opens it while one watches.
_BREAKER: Mapping[str, Any] = {
    "enabled": False,
    "window": {"type": "count", "size": 10},
    "minimum_calls": 5,
    "open_for": "10s",
    "permitted_probes": 2,
}

HOP_DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # the inner deadlines are shorter than the outer ones, so that the hop nearest to a fault decides
        "cdn": {
            "timeouts": {"connect": "500ms", "first_byte": "4s", "between_bytes": "4s", "request": "10s"},
            "breaker": _BREAKER,
            "loop": {"cdn_id": "cdn.badgateway"},
        },
        "lb": {
            "timeouts": {"connect": "500ms", "first_byte": "2s", "between_bytes": "2s", "request": "8s"},
            "breaker": _BREAKER,
        },
    }
)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` put on top: mappings merge key by key, anything else is replaced."""
    merged = deepcopy(dict(base))
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def leaves(settings: Mapping[str, Any], above: str = "") -> list[str]:
    """The paths of all settings that a mapping has, such as `timeouts.first_byte`."""
    paths = []
    for key, value in settings.items():
        path = f"{above}{key}"
        paths += leaves(value, f"{path}.") if isinstance(value, Mapping) and value else [path]
    return paths


def _wrong(
    overrides: Mapping[str, Any], model: type[BaseModel], base: Mapping[str, Any], wired: frozenset[str]
) -> list[Finding]:
    """What the component's own model says about `base` with these overrides on top."""
    found = [Finding((key,), "is decided by the lab, not by the chain", key=True) for key in overrides if key in wired]
    full = merge(base, {key: value for key, value in overrides.items() if key not in wired})
    try:
        model.model_validate(full)
    except ValidationError as error:
        found += findings(error, full, model)
    return found


def wrong_patch(hop: str, patch: Mapping[str, Any]) -> list[Finding]:
    """What a hop would refuse of a merge patch (RFC 7396: null gives a setting its default back)."""
    return _wrong(_without_nulls(patch), HopConfig, _hop_base(hop), WIRED - {"upstreams"})


def wrong_deployment(settings: Mapping[str, Any]) -> list[Finding]:
    """What an instance would refuse of these settings."""
    return _wrong(settings, InstanceConfig, {}, WIRED_APP)


def _without_nulls(patch: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in patch.items()
        if value is not None
    }


def _hop_base(hop: str) -> dict[str, Any]:
    return {**HOP_DEFAULTS[hop], "name": hop, "tier": hop, "upstreams": ["127.0.0.1:9"]}


def _hop_overrides(hop: str) -> BeforeValidator:
    def check(value: object) -> object:
        if value is None:
            raise refusal([_missing_tier(hop)])
        if not isinstance(value, Mapping):
            return value  # pydantic says that it is no mapping
        if found := _wrong(value, HopConfig, _hop_base(hop), WIRED):
            raise refusal(found)
        return dict(value)

    return BeforeValidator(check)


def _missing_tier(name: str) -> Finding:
    return Finding((), f"a chain cannot be without its {name}", f"leave `{name}` out to have it as it is by default")


def _tier_present(value: object) -> object:
    if value is None:
        raise refusal([_missing_tier("app")])
    return value


class AppSpec(BaseModel):
    """The app tier: how many instances, what is behind them, and anything else that an instance's config takes."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    instances: int = Field(default=2, ge=1, le=MAX_INSTANCES)
    """Number of processes, app-1 to app-N, 1 to 16."""
    backend: str | None = None
    """`http://host:port` of a real service; the instances then relay to it, and break its answers."""

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, value: object, handler: ModelWrapValidatorHandler[AppSpec]) -> AppSpec:
        found: list[Finding] = []
        spec = None
        try:
            spec = handler(value)
        except ValidationError as error:
            found += findings(error, value, cls)
        if isinstance(value, Mapping):
            overrides = {key: v for key, v in value.items() if key != "instances"}
            known = {f.where for f in found}
            found += [f for f in _wrong(overrides, InstanceConfig, {}, WIRED_APP) if f.where not in known]
        if found or spec is None:
            raise refusal(found)
        return spec

    @property
    def overrides(self) -> dict[str, Any]:
        """What each instance's config differs in."""
        return {**(self.model_extra or {}), **({"backend": self.backend} if self.backend else {})}


class ChainSpec(BaseModel):
    """CDN → LB → app. `cdn` and `lb`: any part of `HopConfig` that the lab does not decide itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cdn: Annotated[dict[str, Any], _hop_overrides("cdn")] = Field(default_factory=dict)
    lb: Annotated[dict[str, Any], _hop_overrides("lb")] = Field(default_factory=dict)
    app: Annotated[AppSpec, BeforeValidator(_tier_present)] = Field(default_factory=AppSpec)
    dns: bool = False
    """Whether hops know the next ones by name (`app-1.lab.test`), and look it up at a DNS server of the lab's."""

    @property
    def hops(self) -> tuple[str, ...]:
        """`("cdn", "lb")`: outermost first."""
        return HOPS

    @property
    def instances(self) -> tuple[str, ...]:
        """`("app-1", "app-2", …)`."""
        return tuple(f"app-{n}" for n in range(1, self.app.instances + 1))

    @property
    def targets(self) -> tuple[str, ...]:
        """Every name that a fault, a restart or a stop can be aimed at."""
        return (*self.hops, "app", *self.instances, *((DNS,) if self.dns else ()))

    @property
    def as_written(self) -> dict[str, Any]:
        """What differs from the default chain, as a file has it."""
        instances = {} if self.app.instances == AppSpec().instances else {"instances": self.app.instances}
        tiers = {**{hop: getattr(self, hop) for hop in self.hops}, "app": {**instances, **self.app.overrides}}
        return {tier: settings for tier, settings in tiers.items() if settings} | ({"dns": True} if self.dns else {})

    def serves_tls(self, tier: str) -> bool:
        """Whether whoever connects to this tier must speak TLS."""
        if tier in HOPS:
            return bool(getattr(self, tier).get("tls", {}).get("enabled"))
        return bool(self.app.overrides.get("tls"))

    @property
    def needs_authority(self) -> bool:
        """Whether anybody in the chain speaks TLS, or may be told to by switching it on towards an upstream."""
        return any(self.serves_tls(tier) for tier in TIERS) or any("upstream_tls" in getattr(self, hop) for hop in HOPS)

    def hop_config(
        self,
        hop: str,
        wiring: Mapping[str, Any],
        given: Mapping[str, Any] = MappingProxyType({}),
        urls: Mapping[str, str] = MappingProxyType({}),
    ) -> HopConfig:
        """The full configuration of a hop; its breaker and its cache are on if the chain mentions them.

        `wiring`: upstreams, listen, admin, exit_with_stdin. `given`: what it has unless the chain says otherwise.
        `urls`: where nodes listen, by name, for settings that name nodes.
        """
        overrides: dict[str, Any] = getattr(self, hop)
        settings = merge(merge(HOP_DEFAULTS[hop], given), with_addresses(overrides, urls))
        for section in {"breaker", "cache"} & overrides.keys():
            settings[section]["enabled"] = overrides[section].get("enabled", True)
        return HopConfig.model_validate({**settings, "name": hop, "tier": hop, **wiring})

    def instance_config(self, instance: str, wiring: Mapping[str, Any]) -> InstanceConfig:
        """The full configuration of an instance. `wiring`: listen, admin, database, authority, exit_with_stdin."""
        return InstanceConfig.model_validate({**self.app.overrides, "name": instance, **wiring})
