from __future__ import annotations

import re
from typing import Any

import pytest

from badgateway_proxy.configuration.config import load_config
from badgateway_proxy.configuration.config_problems import ConfigError, ConfigProblem

MINIMAL: dict[str, Any] = {"upstreams": ["127.0.0.1:9001"]}


def problems(settings: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(MINIMAL | settings)
    return [str(problem) for problem in caught.value.problems]


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
        ({"upstreams": ["a:1", "ftp://b"]}, "upstreams[1]: an upstream is http or https"),
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
        (
            {"balancing": {"drain": ["127.0.0.1:9001", "127.0.0.1:9101"]}},
            "balancing.drain[1]: 127.0.0.1:9101 is not among upstreams; did you mean 127.0.0.1:9001?",
        ),
        ({"balancing": {"drain": ["127.0.0.1"]}}, "balancing.drain[0]: 127.0.0.1:80 is not among upstreams; did you"),
        (
            {"upstreams": ["app:9001", "https://lb"], "balancing": {"weights": {"[::1]:80": 2}}},
            "balancing.weights: [::1]:80 is not among upstreams; there is app:9001, lb:443",
        ),
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


def test_a_problem_of_the_whole_has_no_path() -> None:
    assert str(ConfigProblem("", "no")) == "no"
