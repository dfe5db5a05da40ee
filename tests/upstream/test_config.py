"""How an instance is set up."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from badgateway_upstream import InstanceConfig
from badgateway_upstream.strict import problems_of


def test_a_configuration_survives_json() -> None:
    config = InstanceConfig.model_validate(
        {
            "name": "app-3",
            "faults": [{"kind": "latency", "latency": "1s"}, {"kind": "script", "steps": [{"pause": "1s"}, "close"]}],
            "crash_after": "200ms",
            "database": "/tmp/x.sqlite3",
        }
    )
    assert InstanceConfig.model_validate(config.model_dump(mode="json")) == config
    assert config.model_copy(update={"boot_delay": 1.0}).boot_delay == 1.0


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"nam": "x"}, "nam: unknown attribute 'nam'; did you mean 'name'?"),
        ({"name": "a b"}, "name: "),
        ({"listen": {"port": 70000}}, "listen.port: "),
        ({"listen": {"host": "shop.example"}}, "listen.host: must be an IP address"),
        ({"drain": 2}, "drain: a duration needs a unit"),
        ({"faults": [{"kind": "hng"}]}, "faults[0].kind: unknown fault 'hng'; did you mean 'hang'?"),
        ({"faults": [{"kind": "hang", "for": "1h"}]}, "faults[0] lasts longer than max_fault_duration (10m)"),
        ({"backend": "https://x"}, "backend: must be an http:// URL"),
        ({"admin": {"token": "short"}}, "admin.token: "),
        ({"backlog": True}, "backlog: must be a whole number"),
    ],
)
def test_mistakes_are_told(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        InstanceConfig.model_validate(data)
    assert problems_of(caught.value)[0].startswith(problem)


def test_localhost_is_an_address() -> None:
    assert InstanceConfig.model_validate({"listen": {"host": "localhost"}}).listen.host == "127.0.0.1"
