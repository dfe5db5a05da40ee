from __future__ import annotations

from typing import Any

import pytest

from badgateway_proxy.configuration.config import ConfigError, load_config

BUCKET = {"max_tokens": 1, "tokens_per_fill": 1}


def problems(**settings: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_config({"upstreams": ["127.0.0.1:9001"], **settings})
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"maintenance": {"enable": True}}, "maintenance.enable: unknown setting; did you mean enabled?"),
        ({"maintenance": {"retry_after": "60s"}}, "maintenance.retry_after: must be seconds or date, not '60s'"),
        ({"maintenance": {"lasts": "0s"}}, "maintenance.lasts: this duration must be longer than 0s"),
        ({"rate_limit": {"server": {"max_tokens": 5}}}, "rate_limit.server.tokens_per_fill: is missing."),
        ({"rate_limit": {"server": BUCKET | {"max_tokens": 0}}}, "rate_limit.server.max_tokens:"),
        ({"rate_limit": {"client": BUCKET | {"key_header": "a b"}}}, "'a b' is no header name, such as X-API-Key"),
        ({"rate_limit": {"clients": BUCKET}}, "rate_limit.clients: unknown setting; did you mean client?"),
        ({"captive_portal": {"path": "login"}}, "must be a path such as /captive-portal/login"),
        ({"captive_portal": {"path": "/a?b"}}, "must be a path such as /captive-portal/login"),
        ({"bandwidth_cap": {"bytes": 0}}, "bandwidth_cap.bytes:"),
        ({"bandwidth_cap": {"bytes": "5MB"}}, "bandwidth_cap.bytes: must be a whole number"),
    ],
)
def test_what_is_wrong_is_named(settings: dict[str, Any], problem: str) -> None:
    assert problem in "\n".join(problems(**settings))


def test_all_of_it_is_off_by_default() -> None:
    config = load_config({"upstreams": ["127.0.0.1:9001"]})
    assert not config.maintenance.enabled
    assert not config.captive_portal.enabled
    assert (config.rate_limit.server, config.rate_limit.client, config.bandwidth_cap.bytes) == (None, None, None)
