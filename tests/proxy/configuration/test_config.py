from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from badgateway_proxy.configuration.config import (
    ConfigError,
    ImmutableFieldError,
    load_config,
    merge_patch,
    public_view,
)

MINIMAL: dict[str, Any] = {"upstreams": ["127.0.0.1:9001"]}


def test_what_is_written_as_json_reads_back() -> None:
    config = load_config(MINIMAL | {"breaker": {"window": {"size": "5s"}}, "retry": {"methods": "any"}})
    assert load_config(json.loads(config.model_dump_json())) == config


def test_reads_yaml(tmp_path: Path) -> None:
    file = tmp_path / "lb.yaml"
    file.write_text("name: lb\nupstreams:\n  - 127.0.0.1:9001\nretry: {attempts: 2, on: [reset]}\n")
    config = load_config(file)
    assert (config.name, config.retry.attempts, config.retry.on) == ("lb", 2, ("reset",))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a: [1", r"lb\.yaml:1:6 is no YAML"),
        (b"name: a\nname: b\n", r"lb\.yaml:2:1 is no YAML: found duplicate key"),
        (b"- 1", "holds list, not settings"),
        (b"\xff", "no text in UTF-8"),
        (b"!!python/object:os.system {}", "no YAML"),
        (b"", "upstreams: is missing"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "lb.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        load_config(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_a_patch_merges_and_null_restores_the_default() -> None:
    config = load_config(MINIMAL | {"timeouts": {"connect": "2s", "send": "3s"}, "retry": {"attempts": 3}})
    patched = merge_patch(config, {"timeouts": {"connect": "4s", "send": None}, "retry": None})
    assert (patched.timeouts.connect, patched.timeouts.send, patched.retry.attempts) == (4.0, 10.0, 1)
    assert config.timeouts.connect == 2.0


def test_null_for_a_setting_that_there_is_not_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"retry\.attemps: unknown setting; did you mean attempts"):
        merge_patch(load_config(MINIMAL), {"retry": {"attemps": None}})


def test_a_patch_replaces_lists_whole() -> None:
    config = load_config({"upstreams": ["127.0.0.1:1", "127.0.0.1:2"]})
    assert merge_patch(config, {"upstreams": ["127.0.0.1:3"]}).upstreams == ("127.0.0.1:3",)


def test_a_patch_can_change_the_kind_of_window() -> None:
    patched = merge_patch(load_config(MINIMAL), {"breaker": {"window": {"type": "time", "size": "5s"}}})
    assert patched.breaker.window.size == 5.0


@pytest.mark.parametrize(
    "patch", [{"name": "x"}, {"tier": "cdn"}, {"listen": {"port": 1}}, {"admin": None}, {"admin": {"token": "x"}}]
)
def test_a_patch_cannot_change_what_needs_a_restart(patch: dict[str, Any]) -> None:
    with pytest.raises(ImmutableFieldError, match="needs a restart"):
        merge_patch(load_config(MINIMAL | {"name": "lb", "admin": {"port": 5}}), patch)


APP = {"upstreams": ["http://app:9001", "http://127.0.0.1:9001"]}


@pytest.mark.parametrize("address", ["app:9001", "http://app:9001/", "127.0.0.1:9001", "http://127.0.0.1:9001"])
def test_what_is_among_the_upstreams_can_be_drained_and_weighed_however_it_is_written(address: str) -> None:
    balancing = load_config({**APP, "balancing": {"drain": [address], "weights": {address: 3}}}).balancing
    assert [*balancing.weights] == [*balancing.drain] == [address.removeprefix("http://").removesuffix("/")]


def test_with_strict_dns_nobody_knows_yet_what_can_be_drained() -> None:
    settings = {**APP, "resolver": {"strict_dns": True}, "balancing": {"drain": ["10.0.0.1:9001"]}}
    assert load_config(settings).balancing.drain == ("10.0.0.1:9001",)


def test_a_patch_may_change_the_upstreams_and_what_is_said_of_them_only_together() -> None:
    config = load_config({**APP, "balancing": {"drain": ["app:9001"], "weights": {"app:9001": 3}}})
    for patch in (
        {"upstreams": ["b:1"]},
        {"upstreams": ["b:1"], "balancing": {"drain": []}},
        {"balancing": {"drain": ["b:1"]}},
    ):
        with pytest.raises(ConfigError, match="is not among upstreams"):
            merge_patch(config, patch)
    together = {"upstreams": ["b:1", "c:1"], "balancing": {"drain": ["b:1"], "weights": {"app:9001": None, "c:1": 2}}}
    changed = merge_patch(config, together)
    assert (changed.balancing.drain, changed.balancing.weights) == (("b:1",), {"c:1": 2})


def test_what_was_shown_can_be_sent_back() -> None:
    config = load_config(MINIMAL | {"admin": {"token": "secret"}})
    shown = public_view(config)
    assert "secret" not in json.dumps(shown)
    assert merge_patch(config, shown) == config


@pytest.mark.parametrize("patch", [None, [], "x", 3])
def test_a_patch_is_an_object(patch: object) -> None:
    with pytest.raises(ConfigError, match="a merge patch is a JSON object"):
        merge_patch(load_config(MINIMAL), patch)


def test_a_wrong_patch_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        merge_patch(load_config(MINIMAL), {"retry": {"attempt": 1}, "timeouts": 5})
    assert {problem.path for problem in caught.value.problems} == {"retry.attempt", "timeouts"}
