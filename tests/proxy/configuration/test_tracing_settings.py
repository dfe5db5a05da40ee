"""The tracing section: off by default, and errors that say what to do."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from badgateway_proxy.configuration import tracing_settings
from badgateway_proxy.configuration.config import IMMUTABLE, ConfigError, HopConfig, load_config


def configured(**tracing: Any) -> HopConfig:
    return load_config({"upstreams": ["a:1"], "tracing": tracing})


def test_it_is_off_by_default() -> None:
    tracing = load_config({"upstreams": ["a:1"]}).tracing
    assert (tracing.enabled, tracing.otlp_endpoint, tracing.allow_public) == (False, "http://127.0.0.1:4318", False)
    assert "tracing" in IMMUTABLE


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4318",
        "https://[::1]:4318",
        "http://collector",
        "http://10.0.0.9:4318/otlp",
        "http://[fd00::1]",
    ],
)
def test_endpoints(url: str) -> None:
    assert configured(enabled=True, otlp_endpoint=url).tracing.otlp_endpoint == url


def test_a_slash_at_the_end_does_not_count() -> None:
    assert configured(otlp_endpoint="http://127.0.0.1:4318/").tracing.otlp_endpoint == "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:4318",
        "grpc://127.0.0.1:4317",
        "http://",
        "http://:4318",
        "http://127.0.0.1:0",
        "http://a:65536",
        "http://user:secret@127.0.0.1",
        "http://127.0.0.1/?a=b",
        "http://127.0.0.1/#a",
        "http://[::1",
    ],
)
def test_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(ConfigError, match=r"is no OTLP endpoint: write its base URL, such as http://127\.0\.0\.1:4318"):
        configured(otlp_endpoint=url)


@pytest.mark.parametrize("url", ["http://8.8.8.8:4318", "https://[2606:4700::1]", "http://[::ffff:8.8.8.8]:4318"])
def test_a_public_address_must_be_allowed(url: str) -> None:
    with pytest.raises(ConfigError, match=r"is a public address; allow_public: true allows that"):
        configured(otlp_endpoint=url)
    assert configured(otlp_endpoint=url, allow_public=True).tracing.otlp_endpoint == url


@pytest.mark.parametrize(
    "wrong", [{"sampling_ratio": 1.1}, {"sampling_ratio": -0.1}, {"queue": 0}, {"schedule_delay": "0s"}, {"on": True}]
)
def test_values_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="tracing"):
        configured(**wrong)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_settings, "_NEEDED", ("opentelemetry_that_is_not_there.sdk", "json"))
    with pytest.raises(ConfigError, match=r'OpenTelemetry is not installed; run: pip install "badgateway\[otel\]"'):
        configured(enabled=True)
    assert not configured(enabled=False).tracing.enabled


def test_what_is_needed_is_what_the_extra_brings() -> None:
    for module in tracing_settings._NEEDED:
        __import__(module)
        assert module in sys.modules
