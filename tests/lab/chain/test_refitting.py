"""What a running chain must be patched with to be the one that a scenario wants, and what no patch can give it."""

from __future__ import annotations

from typing import Any

import pytest

from badgateway.chain.refitting import cannot_be_patched, in_the_way, patch_for, patched_since
from badgateway.chain.spec import HOPS, ChainSpec
from badgateway_proxy import IMMUTABLE

URLS = {name: f"http://127.0.0.1:{9000 + n}" for n, name in enumerate(("cdn", "lb", "app-1", "app-2"))}


def chain(**tiers: Any) -> ChainSpec:
    return ChainSpec.model_validate(tiers)


def told(*instances: str, spec: Any = None) -> dict[str, Any]:
    nodes = [{"name": hop, "kind": "hop"} for hop in HOPS]
    return {"nodes": [*nodes, *({"name": name, "kind": "instance"} for name in instances)], "spec": spec or {}}


def live(hop: str, running: ChainSpec) -> dict[str, Any]:
    upstreams = {"cdn": [URLS["lb"]], "lb": [URLS["app-1"], URLS["app-2"]]}[hop]
    return running.hop_config(hop, {"upstreams": upstreams}).model_dump(mode="json")


def patch(hop: str, wanted: ChainSpec, running: ChainSpec | None = None) -> dict[str, Any]:
    return patch_for(wanted, hop, live(hop, running or chain()), URLS, several=True)


@pytest.mark.parametrize("hop", HOPS)
def test_what_is_there_already_needs_no_patch(hop: str) -> None:
    assert patch(hop, chain()) == {}
    assert patch(hop, chain(**{hop: {"retry": {"attempts": 2}}}), chain(**{hop: {"retry": {"attempts": 2}}})) == {}


def test_a_patch_has_what_differs_and_takes_back_what_the_chain_was_started_with() -> None:
    assert patch("lb", chain(lb={"timeouts": {"connect": "1s"}})) == {"timeouts": {"connect": "1s"}}
    assert patch("cdn", chain(lb={"timeouts": {"connect": "1s"}})) == {}
    started = chain(lb={"retry": {"attempts": 3}, "balancing": {"weights": {URLS["app-1"]: 3}}})
    assert patch("lb", chain(), started) == {
        "retry": {"attempts": 1},
        "balancing": {"weights": {"127.0.0.1:9002": None}},
    }


def test_mentioning_a_breaker_or_a_cache_switches_it_on_as_in_a_chain_of_its_own() -> None:
    assert patch("lb", chain(lb={"breaker": {"open_for": "3s"}})) == {"breaker": {"enabled": True, "open_for": "3s"}}
    assert patch("cdn", chain(cdn={"cache": {"default_ttl": "1s"}}))["cache"]["enabled"] is True


def test_names_of_nodes_become_addresses() -> None:
    assert patch("lb", chain(lb={"balancing": {"drain": ["app-2"]}})) == {"balancing": {"drain": ["127.0.0.1:9003"]}}


def test_one_instance_of_several_is_the_only_one_that_the_lb_sends_to() -> None:
    one = chain(app={"instances": 1})
    assert (patch("lb", one), patch("cdn", one)) == ({"upstreams": [URLS["app-1"]]}, {})
    assert patch_for(one, "lb", live("lb", chain()) | {"upstreams": ["http://app:9001"]}, URLS, several=False) == {}
    assert in_the_way(one, told("app-1", "app-2")) == []


def test_names_become_addresses_as_the_running_chain_has_it() -> None:
    running = live("lb", chain()) | {"upstreams": ["http://app:9001"], "resolver": {"strict_dns": True}}
    assert patch_for(chain(), "lb", running, URLS, several=True) == {}


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (chain(app={"instances": 3}), "app.instances: app-1, app-2, app-3 wanted, app-1, app-2 there"),
        (chain(app={"workers": 2}), "app.workers: instances are started with it"),
        (chain(dns=True), "dns: hops and a DNS server are started with it"),
        (
            chain(lb={"upstream_tls": {"enabled": True}}),
            "lb.upstream_tls: certificates are made for a chain that is started",
        ),
    ],
)
def test_what_only_a_start_can_give(wanted: ChainSpec, reason: str) -> None:
    assert in_the_way(wanted, told("app-1", "app-2")) == [reason]


def test_what_the_running_app_was_started_with_is_in_the_way_of_a_chain_without() -> None:
    spec = {"app": {"instances": 2, "workers": 2}}
    assert in_the_way(chain(), told("app-1", "app-2", spec=spec)) == ["app.workers: instances are started with it"]
    assert in_the_way(chain(app={"workers": 2}), told("app-1", "app-2", spec=spec)) == []


def test_other_names_and_missing_hops_are_told() -> None:
    assert in_the_way(chain(), told("app-1", "app-3"))
    assert in_the_way(chain(), {"nodes": told("app-1", "app-2")["nodes"][1:]}) == ["there is no hop cdn"]


def test_a_setting_in_sockets_needs_a_restart() -> None:
    assert cannot_be_patched("lb", {"tls": {"enabled": True}}, IMMUTABLE) == [
        "lb.tls.enabled: needs a restart of the hop"
    ]
    assert cannot_be_patched("lb", {"retry": {"attempts": 2}}, IMMUTABLE) == []


def test_what_a_hop_was_patched_with_since_it_was_started() -> None:
    started = chain(lb={"retry": {"attempts": 2}})
    now = live("lb", started)
    assert patched_since(started, "lb", now, URLS) == {}
    assert patched_since(started, "cdn", live("cdn", started), URLS) == {}
    now["timeouts"]["first_byte"] = "250ms"
    now["retry"]["attempts"] = 5
    now["balancing"]["drain"] = ["127.0.0.1:9003"]
    now["upstreams"] = [URLS["app-2"]]
    patch = {"timeouts": {"first_byte": "250ms"}, "retry": {"attempts": 5}, "balancing": {"drain": ["app-2"]}}
    assert patched_since(started, "lb", now, URLS) == {**patch, "upstreams": ["app-2"]}
