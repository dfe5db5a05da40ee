from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from badgateway_proxy.configuration.config import HopConfig, load_config
from badgateway_proxy.configuration.settings import Section

MINIMAL: dict[str, Any] = {"upstreams": ["127.0.0.1:9001"]}


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


def test_a_configuration_does_not_change_under_anybodys_hands() -> None:
    config = load_config(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        config.timeouts.connect = 5.0  # type: ignore[misc]  # that it is refused is the point


def test_no_type_is_needed_for_a_window() -> None:
    for size, kind in ((10, "count"), ("10s", "time")):
        assert load_config(MINIMAL | {"breaker": {"window": {"size": size}}}).breaker.window.type == kind


def test_every_setting_says_what_it_is_for() -> None:
    sections: list[type[Section]] = [HopConfig, *Section.__subclasses__()]
    for section in sections:
        for name, field in section.model_fields.items():
            assert (field.description or "").strip(), f"{section.__name__}.{name}"


def test_the_schema_shows_durations_as_people_write_them() -> None:
    schema = HopConfig.model_json_schema()
    assert schema["$defs"]["TimeoutSettings"]["properties"]["connect"]["default"] == "1s"


def test_the_token_shows_in_no_repr() -> None:
    assert "secret" not in repr(load_config(MINIMAL | {"admin": {"token": "secret"}}))
