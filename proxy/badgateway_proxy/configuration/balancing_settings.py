"""The sections of a hop's configuration about which endpoint gets a request."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from badgateway_proxy.configuration.durations import Duration
from badgateway_proxy.configuration.settings import Section, text_default
from badgateway_proxy.policies.balancer import parse_endpoint

Policy = Literal["round_robin", "least_request", "random", "maglev"]

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"


def _token(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(f"{text[:40]!r} is no name of a cookie: letters, digits, - and _")
    return text


def _hash_on(text: str) -> str:
    if not re.fullmatch(rf"client|path|(header|cookie):{_NAME}", text):
        raise ValueError(f"{text[:40]!r}: must be client, path, header:NAME or cookie:NAME")
    return text


def _prime(slots: int) -> int:
    if any(slots % divisor == 0 for divisor in range(2, int(slots**0.5) + 1)):
        raise ValueError(f"{slots} is no prime, such as 2039, 16381 or 65537")
    return slots


def _address(text: str) -> str:
    return parse_endpoint(text).text


Address = Annotated[str, AfterValidator(_address)]
"""``host:port``, however it was written."""


class SlowStartSettings(Section):
    """An endpoint that is new, or back, gets few requests at first. Envoy: slow_start_config; nginx: slow_start."""

    window: Duration = text_default("0s")
    """How long until it gets its full share; 0s for no slow start. maglev has none. Envoy: slow_start_window."""
    aggression: Annotated[float, Field(gt=0, le=100)] = 1.0
    """How its share grows: 1 linearly, more than 1 fast at first, less than 1 slowly at first."""
    min_weight_percent: Annotated[float, Field(gt=0, le=100)] = 10.0
    """Percentage of its weight that it has at least."""


class BalancingSettings(Section):
    """Which endpoint gets the next request. By default each in turn."""

    policy: Policy = "round_robin"
    """round_robin: in turn. least_request: the least busy (HAProxy: leastconn). random: by lot. maglev: by a
    hash, so that what belongs together goes to the same endpoint. Envoy's lb_policy."""
    selection: Literal["n_choices", "full_scan"] = "n_choices"
    """For least_request: the least busy of choice_count endpoints drawn by lot, or of all. Envoy: selection_method."""
    choice_count: Annotated[int, Field(ge=2, le=100)] = 2
    """For n_choices: how many are drawn; 2 is the power of two choices."""
    weights: dict[Address, Annotated[int, Field(ge=1, le=256)]] = Field(default_factory=dict)
    """Weights of endpoints by their address, {"127.0.0.1:9001": 3}; 1 where there is none. Each must be among
    upstreams. In a lab also by the instance's name."""
    hash_on: Annotated[str, AfterValidator(_hash_on)] = "client"
    """For maglev: what requests that belong together have in common: client (its address), path, header:NAME or
    cookie:NAME. A request that has none goes anywhere. Envoy: hash_policy; nginx: hash."""
    table_size: Annotated[int, Field(ge=2, le=1_000_003), AfterValidator(_prime)] = 2039
    """For maglev: slots of its table, a prime; a hundred for each endpoint are about 1 % exact."""
    sticky_cookie: Annotated[str, AfterValidator(_token)] | None = None
    """Name of a cookie that keeps a client at its endpoint while that is available. HAProxy: cookie NAME insert."""
    slow_start: SlowStartSettings = SlowStartSettings()
    """An endpoint that is new, or back, gets few requests at first."""
    drain: tuple[Address, ...] = Field(default=(), strict=False)
    """Addresses that get no new requests, and finish those that they have. Each must be among upstreams. In a lab also
    instances' names."""
    panic_threshold: Annotated[float, Field(ge=0, le=100)] = 50.0
    """When a smaller percentage of endpoints than this is healthy, health is ignored: it is rather the check that
    is wrong than all of them. 0 for never; then no healthy endpoint is a 503. Envoy: healthy_panic_threshold."""
