"""Each policy is really asked, and what it costs is measured for each."""

from __future__ import annotations

import time

from benchmarks import policies
from benchmarks.figures import QUICK


def test_a_decision_is_measured_in_time_of_a_core() -> None:
    work = policies.nanoseconds(lambda: sum(range(10_000)), decisions=100)
    assert policies.nanoseconds(lambda: None, decisions=10_000) < work / 10
    assert policies.nanoseconds(lambda: time.sleep(0.01), decisions=5) < 5_000_000


def test_every_policy_of_the_settings_has_a_row() -> None:
    figure = policies.measure(QUICK)
    names = [row.what for row in figure.rows]
    assert len(names) == len(set(names)) == len(figure.data)
    for policy in (
        "round robin",
        "random",
        "least requests",
        "hash",
        "outlier",
        "sticky",
        "breaker",
        "budget",
        "rate",
        "cap",
        "limits",
    ):
        assert any(policy in name for name in names), policy
    assert all(row.value.endswith(" ns") for row in figure.rows)
    median = {name: readings["median"] for name, readings in figure.data.items()}
    # Constant time against a look at all ten; a factor, as times are the machine's.
    assert median["round robin"] < median["least requests, of all"] / 2


def test_the_plain_round_robin_of_a_hop_does_nothing_on_top() -> None:
    few, many = policies.endpoint_set(), policies.endpoint_set()
    assert few.pick.__name__ == many.pick.__name__ == "pick"  # type: ignore[attr-defined]  # a bound method has one
    assert few.outlier is None
