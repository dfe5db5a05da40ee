from typing import Any

import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.testing import Lab
from badgateway.testing.nodes import undoing
from tests.support.asking import status_of


@pytest.mark.parametrize(
    ("patch", "before", "back"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2}),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, {"a": {"b": 2}}),
        ({"a": None}, {"a": 2}, {"a": 2}),
        ({"new": {"x": 1}}, {}, {"new": None}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": [1]}, {"a": [2, 3]}, {"a": [2, 3]}),
    ],
)
def test_what_takes_a_patch_back(patch: Any, before: Any, back: Any) -> None:
    assert undoing(patch, before) == back


def test_a_patch_lasts_for_its_block(badgateway: Lab) -> None:
    lb = badgateway.hop("lb")
    before = lb.config
    with lb.patched({"retry": {"attempts": 3}}, timeouts={"first_byte": "150ms"}) as config:
        assert config["retry"]["attempts"] == 3
        assert lb.config["timeouts"]["first_byte"] == "150ms"
    assert lb.config == before
    with pytest.raises(InvalidRequest, match=r"timeouts\.first_bite: unknown setting; did you mean first_byte"):
        lb.patch(timeouts={"first_bite": "1s"})


def test_a_patch_is_taken_back_also_when_the_block_fails(badgateway: Lab) -> None:
    lb = badgateway.hop("lb")
    before = lb.config
    with pytest.raises(KeyError), lb.patched(retry={"attempts": 3}):
        raise KeyError("x")
    assert lb.config == before


def test_a_process_is_away_for_its_block(badgateway: Lab) -> None:
    with badgateway.process("app").stopped():
        assert status_of(badgateway) == 502
    assert status_of(badgateway) == 200


def test_a_breaker_is_ordered_about(badgateway: Lab) -> None:
    lb = badgateway.hop("lb")
    lb.breaker("force_open")
    assert lb.breaker_state == "forced_open"
    assert status_of(badgateway) == 503
    lb.breaker("reset")
    assert status_of(badgateway) == 200
