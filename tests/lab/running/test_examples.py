"""Which requests of a load are worth a look."""

from __future__ import annotations

from badgateway.running.examples import MOST, worth_a_look
from badgateway.running.observations import Observation


def seen(n: int, took: float, status: int | None = 200, **more: object) -> Observation:
    return Observation(float(n), float(n), n + took, status=status, request_id=f"r{n}", **more)  # type: ignore[arg-type]


def test_of_each_kind_the_slowest_in_the_order_in_which_they_were_due() -> None:
    load = [
        seen(0, 0.1),
        seen(1, 0.3),
        seen(2, 0.2),
        seen(3, 1, 504, error="x"),
        seen(4, 2, 504, error="y"),
        seen(5, 1),
    ]
    assert [each.request_id for each in worth_a_look(load)] == ["r3", "r4", "r5"]


def test_the_rarest_kinds_stay_when_there_are_too_many() -> None:
    load = [seen(n, 0.1, status) for status in range(400, 420) for n in range(status - 399)]
    assert [each.status for each in worth_a_look(load)] == list(range(400, 400 + MOST))


def test_what_never_reached_the_chain_has_no_trace() -> None:
    assert worth_a_look([seen(0, 0.1, None, failure="refused"), seen(1, 0, None, failure="overflow")]) == []
    assert worth_a_look([Observation(0, 0, 1, status=200)]) == []
