"""A recording becomes a scenario that says the same, in an order that can be replayed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.recording.entries import Asked, Order
from badgateway.recording.writing import MOST_STEPS, left_out, scenario_of, yaml_of
from badgateway.scenario.model import parse_scenario


def ask(at: float, took: float = 0.01, path: str = "/products", status: int = 200, **more: Any) -> Asked:
    return Asked(at, at + took, f"r{at}", "GET", path, expect={"status": status}, **more)


def written(*entries: Order | Asked, fired: set[str] | None = None, outcome: dict[str, Any] | None = None) -> Any:
    return scenario_of(entries, lambda _: outcome or {}, fired=fired or set(), title="T", chain={})["steps"]


def test_orders_and_requests_in_the_order_in_which_they_happened() -> None:
    steps = written(ask(2.0, path="/b"), Order(1.5, {"stop": "lb"}), ask(1.0, path="/a"))
    assert [next(iter(step.values())) for step in steps] == ["GET /a", "lb", "GET /b"]


def test_time_in_which_nothing_happened_is_an_advance() -> None:
    assert written(ask(1.0, took=0.5), ask(9.0, path="/b"))[1] == {"advance": "7.5s"}
    assert all("advance" not in step for step in written(ask(1.0, took=0.5), ask(2.0, path="/b")))


def test_the_same_request_with_the_same_outcome_is_one_step() -> None:
    [first, second] = written(ask(1.0), ask(1.1), ask(1.2), ask(1.3, status=502))
    assert first == {"request": {"method": "GET", "path": "/products", "times": 3}, "expect": {"status": 200}}
    assert second == {"request": "GET /products", "expect": {"status": 502}}


def test_those_that_were_under_way_at_once_are_sent_at_once() -> None:
    [step] = written(ask(1.0, took=1.0), ask(1.1, took=1.0), ask(1.2, took=1.0), ask(2.05, took=0.1))
    assert (step["request"]["times"], step["request"]["concurrency"]) == (4, 3)


def test_who_decided_comes_from_the_traces() -> None:
    outcome = {"decided_by": "lb", "error": "connection_refused", "attempts": {}}
    [step] = written(ask(1.0, status=502), outcome=outcome)
    assert step["expect"] == {"status": 502, "decided_by": "lb", "error": "connection_refused"}


def test_what_was_retried_must_be_retried_again() -> None:
    [step] = written(ask(1.0), outcome={"decided_by": "app", "error": None, "attempts": {"lb": 2}})
    assert step["expect"] == {"status": 200, "decided_by": "app", "attempts": {"lb": 2}}


def test_a_reset_is_a_restart_of_everything() -> None:
    steps = written(Order(0.5, {"reset": ["cdn", "lb"]}), ask(1.0))
    assert steps[:-1] == [{"clear": "all"}, {"restart": "app"}, {"restart": "lb"}, {"restart": "cdn"}]


def test_only_a_fault_that_struck_must_strike_again() -> None:
    hang = Order(0.5, {"fault": {"target": "app", "kind": "hang", "id": "f-1"}})
    assert written(hang, ask(1.0), fired={"f-1"})[0] == {"fault": {"target": "app", "kind": "hang"}}
    assert written(hang, ask(1.0))[0] == {"fault": {"target": "app", "kind": "hang", "may_not_fire": True}}


def test_the_code_is_the_worst_that_came() -> None:
    entries = [ask(1.0), ask(1.1, status=504), ask(1.2, status=404)]
    assert scenario_of(entries, lambda _: {}, fired=set(), title="T", chain={})["code"] == 504


def test_nothing_to_replay_and_too_much_are_refused() -> None:
    with pytest.raises(ValueError, match="no request came"):
        written(Order(1.0, {"stop": "lb"}))
    with pytest.raises(ValueError, match="more than a scenario may have"):
        written(*(ask(float(n), path=f"/{n}") for n in range(MOST_STEPS + 1)))


def test_what_was_left_out_is_named_once() -> None:
    entries = [ask(1.0, left_out=frozenset({"cookie"})), ask(2.0, left_out=frozenset({"body", "cookie"}))]
    assert left_out(entries) == ["body", "cookie"]


WORDS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30)
NAMES = st.sampled_from(["X-A", "on", "null", "012", "Content-Type"])
REQUESTS = st.builds(
    lambda at, took, path, headers, body, status: Asked(
        at, at + took, str(at), "POST", f"/{path}", tuple(headers.items()), body, {"status": status}
    ),
    st.floats(0, 100),
    st.floats(0, 5),
    st.text("abc012:=?&,{}[]#'\"%", max_size=12),
    st.dictionaries(NAMES, WORDS, max_size=3),
    st.none() | WORDS,
    st.sampled_from([200, 404, 502]),
)
ORDERS = st.builds(
    Order,
    st.floats(0, 100),
    st.sampled_from([
        {"advance": "3s"}, {"stop": "lb"}, {"restart": "app"}, {"clear": "all"}, {"breaker": {"lb": "reset"}},
        {"reset": ["cdn", "lb"]},
        {"patch": {"lb": {"timeouts": {"send": "1s"}}}}, {"fault": {"target": "app", "kind": "hang", "for": "1s"}},
    ]),
)  # fmt: skip


@given(st.lists(REQUESTS | ORDERS, min_size=1, max_size=12), WORDS.filter(str.strip))
def test_whatever_was_recorded_the_file_is_a_scenario_that_says_it(entries: list[Order | Asked], title: str) -> None:
    asked = [entry for entry in entries if isinstance(entry, Asked)]
    if not asked:
        return
    data = scenario_of(entries, lambda _: {}, fired=set(), title=title, chain={"app": {"instances": 3}})
    scenario = parse_scenario(yaml_of(data, ["a comment"]), file="r.yaml")
    assert (scenario.title, scenario.chain.app.instances) == (title, 3)
    requests = [step.request for step in scenario.steps if hasattr(step, "request")]
    assert sum(request.times for request in requests) == len(asked)
    sent = {(each.path, each.headers, each.body) for each in asked}
    assert {(each.path, tuple(each.headers.items()), each.body) for each in requests} == sent
