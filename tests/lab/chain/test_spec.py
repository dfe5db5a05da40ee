from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from badgateway.chain.spec import HOP_DEFAULTS, ChainSpec, leaves, merge, wrong_patch
from badgateway.inputs.validation import findings


def wrong(chain: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        ChainSpec.model_validate(chain)
    return [f"{'.'.join(map(str, f.where))}: {f.what}; {f.hint}" for f in findings(caught.value, chain, ChainSpec)]


def test_the_default_chain_has_two_hops_and_two_instances() -> None:
    chain = ChainSpec()
    assert chain.hops == ("cdn", "lb")
    assert chain.instances == ("app-1", "app-2")
    assert chain.targets == ("cdn", "lb", "app", "app-1", "app-2")


def test_hops_get_the_labs_defaults_with_the_overrides_on_top() -> None:
    chain = ChainSpec.model_validate({"lb": {"timeouts": {"first_byte": "7s"}, "debug": True}})
    lb = chain.hop_config("lb", {"upstreams": ["127.0.0.1:9001"], "exit_with_stdin": True})
    assert (lb.name, lb.tier, lb.debug, lb.exit_with_stdin) == ("lb", "lb", True, True)
    assert lb.timeouts.first_byte == 7.0
    assert lb.timeouts.connect == 0.5, "a sibling of an override keeps the lab's default"
    assert lb.breaker.minimum_calls == 5
    assert chain.hop_config("cdn", {"upstreams": ["127.0.0.1:9001"]}).timeouts.first_byte == 4.0


def test_inner_deadlines_are_shorter_than_outer_ones() -> None:
    chain = ChainSpec()
    wiring = {"upstreams": ["127.0.0.1:9001"]}
    cdn, lb = chain.hop_config("cdn", wiring).timeouts, chain.hop_config("lb", wiring).timeouts
    assert lb.first_byte < cdn.first_byte
    assert lb.between_bytes < cdn.between_bytes
    assert lb.request < cdn.request


def test_instances_get_their_overrides() -> None:
    chain = ChainSpec.model_validate({"app": {"instances": 3, "backlog": 5, "backend": "http://127.0.0.1:3000"}})
    config = chain.instance_config("app-3", {"exit_with_stdin": True})
    assert (config.name, config.backlog, config.exit_with_stdin) == ("app-3", 5, True)
    assert chain.app.backend == "http://127.0.0.1:3000"


@pytest.mark.parametrize("tier", ["cdn", "lb", "app"])
def test_a_chain_without_a_tier_is_refused(tier: str) -> None:
    assert wrong({tier: None}) == [
        f"{tier}: a chain cannot be without its {tier}; leave `{tier}` out to have it as it is by default"
    ]


def test_all_that_is_wrong_is_told_at_once() -> None:
    chain = {
        "lb": {"timeout": {}, "timeouts": {"connect": 1}, "name": "x", "admin": {}},
        "app": {"instances": 0, "bakclog": 1, "listen": {}},
        "waf": {},
    }
    assert sorted(wrong(chain)) == [
        'app.bakclog: unknown key; did you mean "backlog"?',
        "app.instances: must be at least 1, not 0; ",
        "app.listen: is decided by the lab, not by the chain; ",
        "lb.admin: is decided by the lab, not by the chain; ",
        "lb.name: is decided by the lab, not by the chain; ",
        'lb.timeout: unknown key; did you mean "timeouts"?',
        "lb.timeouts.connect: a duration needs a unit, such as 500ms or 10s; ",
        "waf: unknown key; known: app, cdn, dns, lb",
    ]


@pytest.mark.parametrize("value", [7, "x", [], True])
def test_a_tier_is_a_mapping(value: object) -> None:
    for tier in ("cdn", "lb", "app"):
        [problem] = wrong({tier: value})
        assert problem.startswith(f"{tier}: must be a mapping")


def test_merging_changes_neither_side() -> None:
    base, over = {"a": {"b": 1, "c": [1]}}, {"a": {"b": {"d": 2}}}
    merged = merge(base, over)
    assert merged == {"a": {"b": {"d": 2}, "c": [1]}}
    merged["a"]["c"].append(2)
    assert base == {"a": {"b": 1, "c": [1]}}
    assert over == {"a": {"b": {"d": 2}}}


def test_the_defaults_are_accepted_by_the_hops_themselves() -> None:
    for hop in HOP_DEFAULTS:
        assert wrong_patch(hop, {}) == []


def test_a_live_patch_is_checked_before_anything_starts() -> None:
    assert wrong_patch("lb", {"retry": None, "timeouts": {"connect": None, "first_byte": "1s"}}) == []
    found = wrong_patch("lb", {"timeouts": {"first_bite": "1s"}, "name": "x"})
    assert {f.where for f in found} == {("name",), ("timeouts", "first_bite")}


@pytest.mark.parametrize(
    ("overrides", "enabled"),
    [
        ({}, False),
        ({"timeouts": {"connect": "1s"}}, False),
        ({"breaker": {"minimum_calls": 3}}, True),
        ({"breaker": {}}, True),
        ({"breaker": {"enabled": False, "minimum_calls": 3}}, False),
    ],
)
def test_a_breaker_is_on_where_the_chain_mentions_it(overrides: dict[str, object], enabled: bool) -> None:
    chain = ChainSpec.model_validate({"lb": overrides})
    assert chain.hop_config("lb", {"upstreams": ["127.0.0.1:9"]}).breaker.enabled is enabled
    assert not chain.hop_config("lb", {"upstreams": ["127.0.0.1:9"]}).cache.enabled
    assert not chain.hop_config("cdn", {"upstreams": ["127.0.0.1:9"]}).breaker.enabled


@pytest.mark.parametrize(
    ("overrides", "enabled"),
    [
        ({}, False),
        ({"cache": {}}, True),
        ({"cache": {"default_ttl": "5s"}}, True),
        ({"cache": {"enabled": False}}, False),
    ],
)
def test_so_is_a_cache(overrides: dict[str, object], enabled: bool) -> None:
    chain = ChainSpec.model_validate({"cdn": overrides})
    assert chain.hop_config("cdn", {"upstreams": ["127.0.0.1:9"]}).cache.enabled is enabled


def test_the_leaves_of_settings_are_their_paths() -> None:
    assert leaves({"timeouts": {"first_byte": "1s", "connect": None}, "via": "x", "retry": {}}) == [
        "timeouts.first_byte",
        "timeouts.connect",
        "via",
        "retry",
    ]


@pytest.mark.parametrize(
    ("chain", "speaking", "authority"),
    [
        ({}, (), False),
        ({"app": {"tls": True}}, ("app",), True),
        ({"app": {"tls": False}}, (), False),
        ({"cdn": {"tls": {"enabled": True}}, "lb": {"tls": {"enabled": True}}}, ("cdn", "lb"), True),
        ({"lb": {"tls": {"min_version": "TLSv1.3"}}}, (), False),
        ({"lb": {"upstream_tls": {"enabled": True}}}, (), True),
    ],
)
def test_who_speaks_tls(chain: dict[str, Any], speaking: tuple[str, ...], authority: bool) -> None:
    spec = ChainSpec.model_validate(chain)
    assert tuple(tier for tier in ("cdn", "lb", "app") if spec.serves_tls(tier)) == speaking
    assert spec.needs_authority is authority


def test_what_the_lab_gives_a_hop_gives_way_to_what_the_chain_says() -> None:
    spec = ChainSpec.model_validate({"lb": {"keep_first_bytes": 5}})
    config = spec.hop_config("lb", {"upstreams": ["127.0.0.1:1"]}, {"keep_first_bytes": 7, "records": 9})
    assert (config.keep_first_bytes, config.records) == (5, 9)


def test_a_chain_may_have_a_dns_server() -> None:
    assert ChainSpec.model_validate({"dns": True}).targets == ("cdn", "lb", "app", "app-1", "app-2", "dns")
    assert wrong({"dns": "yes"})
    assert wrong({"app": {"dns": {}}}) == ["app.dns: is decided by the lab, not by the chain; "]
