from __future__ import annotations

from typing import Any

import pytest

from badgateway.scenario.chain_cause import without_settings, written, wrong_settings

CHAIN: dict[str, Any] = {"lb": {"limits": {"request_body": 10, "response_header": 20}}, "app": {"instances": 1}}


def test_every_level_that_is_written_has_a_path() -> None:
    assert written(CHAIN) == [
        "lb",
        "lb.limits",
        "lb.limits.request_body",
        "lb.limits.response_header",
        "app",
        "app.instances",
    ]


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ([], CHAIN),
        (["lb.limits.request_body"], {"lb": {"limits": {"response_header": 20}}, "app": {"instances": 1}}),
        (["lb", "lb.limits"], {"app": {"instances": 1}}),
        (["lb.limits", "app.instances"], {"lb": {}, "app": {}}),
    ],
)
def test_what_is_left_of_a_chain(paths: list[str], left: dict[str, Any]) -> None:
    before = str(CHAIN)
    assert without_settings(CHAIN, paths) == left
    assert str(CHAIN) == before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("lb.limit.request_body", 'did you mean "lb.limits.request_body"?'),
        ("cdn", "known: app, app.instances, lb, lb.limits, lb.limits.request_body, lb.limits.response_header"),
    ],
)
def test_only_what_is_written_can_be_taken_out(path: str, said: str) -> None:
    [finding] = wrong_settings(CHAIN, [path])
    assert (finding.what, finding.hint) == (f'the chain sets no "{path}"', said)


def test_a_chain_that_needs_the_setting_says_why() -> None:
    chain = {"lb": {"breaker": {"window": {"type": "time", "duration": "10s"}}}}
    [finding] = wrong_settings(chain, ["lb.breaker.window.type"])
    assert finding.what.startswith("the chain cannot be without lb.breaker.window.type alone: ")
