"""A chain that runs already, made the one that a scenario wants: what must be patched, and what cannot be. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from badgateway.chain.addressing import with_names
from badgateway.chain.spec import WIRED, ChainSpec, leaves

Json = Mapping[str, Any]


def in_the_way(chain: ChainSpec, told: Json) -> list[str]:
    """What a running chain cannot be without other processes; none if all of the rest can be patched.

    One instance where there are several is no problem: the LB then sends to none but the first (`patch_for`).

    Args:
        chain: what is wanted.
        told: `GET /api/chain` of the running chain.
    """
    kinds = {"hop": set[str](), "instance": set[str]()}
    for node in told["nodes"]:
        kinds.setdefault(node["kind"], set()).add(node["name"])
    problems = [f"there is no hop {hop}" for hop in chain.hops if hop not in kinds["hop"]]
    if chain.dns:
        problems.append("dns: hops and a DNS server are started with it")
    there = kinds["instance"]
    if not set(chain.instances) <= there or (1 < len(chain.instances) < len(there)):
        problems.append(f"app.instances: {', '.join(chain.instances)} wanted, {', '.join(sorted(there))} there")
    running = {key: value for key, value in told.get("spec", {}).get("app", {}).items() if key != "instances"}
    wanted = chain.app.overrides
    different = [key for key in sorted({*running, *wanted}) if wanted.get(key) != running.get(key)]
    problems += [f"app.{key}: instances are started with it" for key in different]
    for hop in chain.hops:
        settings: Mapping[str, Any] = getattr(chain, hop)
        problems += [
            f"{hop}.{section}: certificates are made for a chain that is started"
            for section in ("tls", "upstream_tls")
            if section in settings
        ]
    return problems


def patch_for(chain: ChainSpec, hop: str, live: Json, urls: Mapping[str, str], *, several: bool) -> dict[str, Any]:
    """The merge patch (RFC 7396) that makes a hop what the chain wants; empty if it is that already.

    Args:
        chain: what is wanted.
        hop: cdn or lb.
        live: its configuration now.
        urls: where the hop finds each node, by name, for settings that name nodes.
        several: whether there is more than one instance.
    """
    wanted = chain.hop_config(hop, {"upstreams": live["upstreams"]}, urls=urls).model_dump(mode="json")
    patch = _difference(*(_fitted(config) for config in (live, wanted)))
    alone = [urls[name] for name in chain.instances]
    if hop == chain.hops[-1] and len(alone) == 1 and several and live["upstreams"] != alone:
        patch["upstreams"] = alone
    return patch


def patched_since(chain: ChainSpec, hop: str, live: Json, urls: Mapping[str, str]) -> dict[str, Any]:
    """The merge patch that makes a hop, as it was started, what it is now; nodes are in it by name. Empty for none.

    Args:
        chain: what it was started with.
        hop: cdn or lb.
        live: its configuration now.
        urls: where each node listens, by name.
    """
    started = chain.hop_config(hop, {"upstreams": live["upstreams"]}, urls=urls).model_dump(mode="json")
    patch = _difference(*(_fitted(config) for config in (started, live)))
    usual = [urls["lb"]] if hop != chain.hops[-1] else [urls[name] for name in chain.instances if name in urls]
    if not chain.dns and live["upstreams"] != usual:
        patch["upstreams"] = live["upstreams"]
    return with_names(patch, urls)


def cannot_be_patched(hop: str, patch: Json, immutable: Sequence[str]) -> list[str]:
    """The settings in a patch that need a restart of the hop."""
    return [f"{hop}.{path}: needs a restart of the hop" for path in leaves(patch) if path.split(".")[0] in immutable]


def _fitted(config: Json) -> Json:
    """Without what is the running chain's own: where things are, and how names become addresses."""
    return {key: value for key, value in config.items() if key not in WIRED and key != "resolver"}


def _difference(now: Json, wanted: Json) -> dict[str, Any]:
    """RFC 7396, the other way round: what must be sent so that `now` becomes `wanted`."""
    patch: dict[str, Any] = {key: None for key in now if key not in wanted}
    for key, value in wanted.items():
        present = now.get(key)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            if inner := _difference(present, value):
                patch[key] = inner
        elif key not in now or present != value:
            patch[key] = value
    return patch
