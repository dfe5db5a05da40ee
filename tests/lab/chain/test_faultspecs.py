"""A fault that was given wrong is refused with what was probably meant, before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.chain.faultspecs import for_hop, for_instance


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"kind": "hnag"}, ["kind: unknown fault 'hnag'; did you mean 'hang'?"]),
        ({"kind": "latency", "latncy": "3s"}, ['latncy: unknown key; did you mean "latency"?']),
        ({"kind": "latency", "latency": 3, "wehn": {}}, ["latency: ", 'wehn: unknown key; did you mean "when"?']),
        ({"kind": ["hang"]}, ["kind: "]),
        ({}, ["kind: "]),
    ],
)
def test_a_fault_of_an_instance(given: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        for_instance(given)
    found = str(refused.value).splitlines()
    assert [line[: len(wanted)] for line, wanted in zip(found, lines, strict=True)] == lines


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"kind": "frezee"}, ['kind: unknown fault "frezee"; did you mean "freeze"?']),
        ({"kind": "hang"}, ['kind: "hang" happens in an instance, so aim it at app; lb can crash, exit, freeze']),
        ({"kind": "crash", "first": 2, "for": 3}, ["first: unknown key for a fault of a hop", "for: "]),
    ],
)
def test_a_fault_of_a_hop(given: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        for_hop("lb", given)
    found = str(refused.value).splitlines()
    assert [line[: len(wanted)] for line, wanted in zip(found, lines, strict=True)] == lines


def test_what_is_right_says_how_long_it_lasts() -> None:
    assert for_instance({"kind": "hang", "for": "2s"}).lasts == 2
    assert for_instance({"kind": "hang"}).lasts == for_hop("lb", {"kind": "freeze"}).lasts == 60


def test_a_fault_for_an_instance_that_it_is_not_aimed_at_is_refused() -> None:
    checked = for_instance({"kind": "hang", "when": {"instance": "app-2"}})
    checked.refuse_nobody(["app-1", "app-2"])
    with pytest.raises(InvalidRequest, match='no instance "app-2"; did you mean "app-1"'):
        checked.refuse_nobody(["app-1"])
