from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from badgateway_proxy.config import (
    ConfigError,
    HopConfig,
    ImmutableFieldError,
    load_config,
    merge_patch,
    public_view,
)
from badgateway_proxy.config_problems import ConfigProblem
from badgateway_proxy.settings import Section

MINIMAL: dict[str, Any] = {"upstreams": ["127.0.0.1:9001"]}


def problems(settings: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(MINIMAL | settings)
    return [str(problem) for problem in caught.value.problems]


def test_the_defaults_are_those_that_users_are_told() -> None:
    view = load_config(MINIMAL).model_dump(mode="json")
    assert (view["name"], view["tier"], view["profile"]) == ("proxy", "proxy", "rfc9209")
    assert view["timeouts"] == {
        "client_head": "10s",
        "client_body": "30s",
        "client_idle": "75s",
        "connect": "1s",
        "send": "10s",
        "first_byte": "5s",
        "between_bytes": "5s",
        "request": "30s",
        "pool_idle": "30s",
    }
    assert view["retry"]["attempts"] == 1
    assert (view["listen"]["host"], view["admin"]["host"]) == ("127.0.0.1", "127.0.0.1")
    assert view["debug"] is False


def test_the_breakers_defaults_are_resilience4js() -> None:
    breaker = load_config(MINIMAL).breaker.model_dump(mode="json")
    del breaker["failure_statuses"]
    assert breaker == {
        "enabled": True,
        "failure_rate": 50.0,
        "slow_call_rate": 100.0,
        "slow_call": "1m",
        "window": {"type": "count", "size": 100},
        "minimum_calls": 100,
        "open_for": "1m",
        "permitted_probes": 10,
        "max_half_open": "0s",
    }


def test_attributes_are_plain_numbers() -> None:
    config = load_config(MINIMAL | {"timeouts": {"connect": "500ms"}})
    assert config.timeouts.connect == 0.5
    assert type(config.timeouts.connect) is float
    assert type(config.limits.request_body) is int


def test_what_is_written_as_json_reads_back() -> None:
    config = load_config(MINIMAL | {"breaker": {"window": {"size": "5s"}}, "retry": {"methods": "any"}})
    assert load_config(json.loads(config.model_dump_json())) == config


def test_a_configuration_does_not_change_under_anybodys_hands() -> None:
    config = load_config(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        config.timeouts.connect = 5.0  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"nmae": "lb"}, "nmae: unknown setting; did you mean name?"),
        ({"timeouts": {"first_bite": "1s"}}, "timeouts.first_bite: unknown setting; did you mean first_byte?"),
        ({"pool": {"zzz": 1}}, "pool.zzz: unknown setting; there is idle"),
        ({"timeouts": {"connect": 3}}, "timeouts.connect: a duration needs a unit, such as 500ms or 10s"),
        ({"timeouts": {"connect": "0s"}}, "timeouts.connect: this duration must be longer than 0s"),
        ({"name": "my lb"}, "name: must be a letter, then letters, digits"),
        ({"name": "x" * 65}, "name: must be a letter, then letters, digits"),
        ({"name": 3}, "name: must be text"),
        ({"tier": "lbb"}, "tier: must be cdn or lb or proxy, not 'lbb'; did you mean lb?"),
        ({"profile": "apache"}, "profile: there is no profile 'apache'; there is rfc9209"),
        ({"upstreams": []}, "upstreams: must not be empty"),
        ({"upstreams": "127.0.0.1:1"}, "upstreams: must be a list"),
        ({"upstreams": ["a:1", "https://b"]}, "upstreams[1]: an upstream is plain http"),
        ({"listen": {"port": "80"}}, "listen.port: must be a whole number"),
        ({"listen": {"port": 65536}}, "listen.port: input should be less than or equal to 65535"),
        ({"listen": None}, "listen: must be a mapping of settings"),
        ({"debug": "yes"}, "debug: must be true or false"),
        ({"records": True}, "records: must be a whole number"),
        ({"retry": {"on": ["rest"]}}, "retry.on[0]: must be connect-failure or"),
        ({"retry": {"methods": ["get"]}}, "retry.methods[0]: 'get' is no method: write capitals, such as GET"),
        ({"retry": {"backoff": {"base": "1s"}}}, "retry.backoff: base is longer than max"),
        ({"breaker": {"window": {"type": "tiem"}}}, "breaker.window: type must be count or time, not 'tiem'"),
        ({"breaker": {"window": {"type": "count", "size": "5s"}}}, "breaker.window.size: must be a whole number"),
        ({"breaker": {"window": {"size": 5, "sise": 5}}}, "breaker.window.sise: unknown setting; did you mean size?"),
        ({"admin": {"token": "two words"}}, "admin.token: a token is visible ASCII without spaces"),
    ],
)
def test_says_where_and_what_is_wrong(settings: dict[str, Any], problem: str) -> None:
    assert [each.startswith(problem) for each in problems(settings)].count(True) == 1, problems(settings)


def test_says_all_of_it_at_once() -> None:
    found = problems({"nmae": "x", "timeouts": {"connect": 1, "sned": "1s"}, "records": "many"})
    assert len(found) == 4


def test_a_setting_that_is_missing_is_explained() -> None:
    with pytest.raises(ConfigError, match=re.escape("upstreams: is missing. Where it sends")):
        load_config({})


def test_no_type_is_needed_for_a_window() -> None:
    for size, kind in ((10, "count"), ("10s", "time")):
        assert load_config(MINIMAL | {"breaker": {"window": {"size": size}}}).breaker.window.type == kind


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


def test_the_token_shows_in_no_repr() -> None:
    assert "secret" not in repr(load_config(MINIMAL | {"admin": {"token": "secret"}}))


def test_every_setting_says_what_it_is_for() -> None:
    sections: list[type[Section]] = [HopConfig, *Section.__subclasses__()]
    for section in sections:
        for name, field in section.model_fields.items():
            assert (field.description or "").strip(), f"{section.__name__}.{name}"


def test_the_schema_shows_durations_as_people_write_them() -> None:
    schema = HopConfig.model_json_schema()
    assert schema["$defs"]["TimeoutSettings"]["properties"]["connect"]["default"] == "1s"


def test_a_problem_of_the_whole_has_no_path() -> None:
    assert str(ConfigProblem("", "no")) == "no"
