from __future__ import annotations

import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.scenario.causes import causes_of, counterparts, without
from badgateway.scenario.model import Scenario, parse_scenario
from badgateway.scenario.steps import RequestStep

EVERYTHING = """\
title: t
code: 400
chain:
  lb: {retry: {attempts: 2}, timeouts: {connect: 300ms, first_byte: 1s}}
  app: {instances: 1}
chain_cause: [lb.retry, lb.timeouts.first_byte]
steps:
  - {patch: {lb: {retry: {attempts: 3}}}}
  - {patch: {cdn: {retry: {attempts: 3}}}, cause: true}
  - {fault: crash, target: app}
  - {stop: lb}
  - {restart: lb}
  - request: {method: POST, path: /orders, json: {a: 1}, headers: {A: b}, times: 3}
    cause: [headers, json]
  - {request: FOO /products, cause: method}
traffic:
  - {for: 2s, rate: 1/s}
  - {for: 1s, rate: 50/s, path: /x, cause: true}
timeline:
  - {at: 1s, advance: 1s}
  - {at: 1s, clear: all, cause: true}
  - {at: 1s, fault: hang, target: app}
"""
TITLES = [
    "chain.lb.retry (line 4)",
    "chain.lb.timeouts.first_byte (line 4)",
    "patch cdn (line 9)",
    "fault crash at app (line 10)",
    "stop lb (line 11)",
    "headers of POST /orders ×3 (line 13)",
    "json of POST /orders ×3 (line 13)",
    "method of FOO /products (line 15)",
    "traffic of 50/s to /x (line 18)",
    "clear all (line 21)",
    "fault hang at app (line 22)",
]


def scenario(text: str = EVERYTHING) -> Scenario:
    return parse_scenario(text, file="s.yaml")


def test_faults_and_stops_are_causes_and_whatever_is_marked() -> None:
    assert [cause.title for cause in causes_of(scenario())] == TITLES


def test_a_scenario_without_all_of_its_causes_keeps_the_rest() -> None:
    whole = scenario()
    left = without(whole, causes_of(whole))
    assert left.chain.lb == {"timeouts": {"connect": "300ms"}}
    assert left.chain.app.instances == 1
    assert [left.lacks("steps", n) for n in range(7)] == [False, True, True, True, False, False, False]
    assert [left.lacks("timeline", n) for n in range(3)] == [False, True, True]
    assert [stream.rate.text for stream in left.traffic] == ["1/s"]
    order, plain = (step for step in left.steps if isinstance(step, RequestStep))
    assert (order.request.method, order.request.path, order.request.times) == ("POST", "/orders", 3)
    assert (order.request.headers, order.request.json_body) == ({}, None)
    assert (plain.request.method, plain.request.path) == ("GET", "/products")
    assert left.without == " and ".join(TITLES)
    assert (left.id, left.position("steps", 3)) == (whole.id, whole.position("steps", 3))
    assert not whole.without
    assert not whole.lacks("steps", 2)


def test_a_scenario_with_several_causes_must_fail_without_each() -> None:
    assert [one.without for one in counterparts(scenario())] == [" and ".join(TITLES), *TITLES]
    single = scenario("title: t\ncode: 502\nsteps: [{fault: crash, target: app}, {request: GET /}]")
    assert [one.without for one in counterparts(single)] == ["fault crash at app (line 3)"]


def test_a_scenario_without_any_cause_says_how_to_mark_one() -> None:
    with pytest.raises(InvalidRequest, match=r"s\.yaml: has no cause .*cause: true, or chain_cause"):
        counterparts(scenario("title: t\ncode: 502\nsteps: [{request: GET /}]"))
