from __future__ import annotations

import pytest

from badgateway.chain.addressing import names_in, with_addresses, with_names

URLS = {"app-1": "http://127.0.0.1:9001", "app-2": "https://127.0.0.1:9002"}


@pytest.mark.parametrize(
    ("settings", "addressed"),
    [
        (
            {"balancing": {"drain": ["app-2", "10.0.0.1:80"]}},
            {"balancing": {"drain": ["127.0.0.1:9002", "10.0.0.1:80"]}},
        ),
        ({"balancing": {"weights": {"app-1": 3}}}, {"balancing": {"weights": {"127.0.0.1:9001": 3}}}),
        ({"balancing": {"weights": {"app-1": None}}}, {"balancing": {"weights": {"127.0.0.1:9001": None}}}),
        ({"upstreams": ["app-1", "app-2"]}, {"upstreams": ["http://127.0.0.1:9001", "https://127.0.0.1:9002"]}),
        ({"balancing": {"policy": "random"}, "retry": {"attempts": 2}}, None),
        ({"balancing": None, "upstreams": None}, None),
        ({"balancing": {"drain": "app-1", "weights": 3}, "upstreams": "app-1"}, None),
        ({"balancing": {"drain": ["app-9", 7]}}, None),
    ],
)
def test_names_become_addresses_where_addresses_belong(
    settings: dict[str, object], addressed: dict[str, object] | None
) -> None:
    assert with_addresses(settings, URLS) == (settings if addressed is None else addressed)
    assert with_names(with_addresses(settings, URLS), URLS) == settings


def test_what_is_given_is_left_as_it_was() -> None:
    settings = {"balancing": {"drain": ["app-1"]}}
    with_addresses(settings, URLS)
    assert settings == {"balancing": {"drain": ["app-1"]}}


def test_tells_what_must_be_a_name_and_where_it_stands() -> None:
    settings = {"balancing": {"drain": ["app-1", "10.0.0.1:80"], "weights": {"app-2": 1}}, "upstreams": ["ap-1", 5]}
    assert list(names_in(settings)) == [
        (("balancing", "drain", 0), "app-1"),
        (("balancing", "weights", "app-2"), "app-2"),
    ]
    assert list(names_in({"balancing": {"drain": "app-1"}})) == []
