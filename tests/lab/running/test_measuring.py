from __future__ import annotations

import pytest

from badgateway.running.measuring import evaluate, percentile
from badgateway.running.observations import Observation
from badgateway.scenario.expression_parser import parse_expression


def seen(latency: float = 0.1, **more: object) -> Observation:
    return Observation(intended=0.0, started=0.0, ended=latency, **{"status": 200, **more})  # type: ignore[arg-type]  # test data


MIXED = [
    *[seen(n / 100) for n in range(1, 96)],
    *[seen(2.0, status=504, decided_by="lb", error="http_response_timeout") for _ in range(4)],
    seen(30.0, status=None, failure="timed_out", path="/orders/7?x=1", method="POST"),
]


@pytest.mark.parametrize(
    ("text", "held", "measured"),
    [
        ("share(status=504, decided_by=lb) > 3%", True, "share(status=504, decided_by=lb) = 4%"),
        ("share(status=504) > 4%", False, "share(status=504) = 4%"),
        ("share(status=5xx) == 0.04", True, "share(status=5xx) = 4%"),
        ("share(status!=200) == 5%", True, "share(status!=200) = 5%"),
        ("count() == 100", True, "count() = 100"),
        ("count == 100", True, "count() = 100"),
        ("count(status=none) == 1", True, "count(status=none) = 1"),
        ("count(failure=timed_out) == 1", True, "count(failure=timed_out) = 1"),
        ("count(failure=none) == 99", True, "count(failure=none) = 99"),
        ("count(error=none) == 96", True, "count(error=none) = 96"),
        ("count(truncated=true) == 0", True, "count(truncated=true) = 0"),
        ("count(method=POST, path=/orders/7) == 1", True, "count(method=POST, path=/orders/7) = 1"),
        ("count(path=/orders/*) == 1", True, "count(path=/orders/*) = 1"),
        ("rate > 9/s", True, "rate() = 10/s"),
        ("p50 <= 500ms", True, "p50 = 500ms"),
        ("p95(status=200) <= 910ms", True, "p95(status=200) = 910ms"),
        ("max == 30s", True, "max = 30s"),
        ("min < 20ms", True, "min = 10ms"),
        ("mean(status=504) == 2s", True, "mean(status=504) = 2s"),
        ("100ms < p50", True, "p50 = 500ms"),
        ("not p50 > 1s", True, "p50 = 500ms"),
        ("p50 > 1s or p99 > 1s", True, "p50 = 500ms, p99 = 2s"),
        ("p50 > 1s and p99 > 1s", False, "p50 = 500ms, p99 = 2s"),
    ],
)
def test_what_is_measured(text: str, held: bool, measured: str) -> None:
    verdict = evaluate(parse_expression(text), MIXED, 10.0)
    assert (verdict.held, verdict.text) == (held, measured)


@pytest.mark.parametrize("text", ["share(status=500) < 5%", "count == 0", "not count > 0", "p95 < 1s"])
def test_a_window_without_requests_shows_nothing(text: str) -> None:
    verdict = evaluate(parse_expression(text), [], 10.0)
    assert not verdict.held
    assert verdict.text.startswith("no requests matched")


@pytest.mark.parametrize(
    "text", ["p95(status=201) < 1s", "not p95(status=201) > 1s", "count > 0 or max(status=201) < 1s"]
)
def test_the_latency_of_no_requests_shows_nothing(text: str) -> None:
    verdict = evaluate(parse_expression(text), MIXED, 10.0)
    assert not verdict.held
    assert "no requests matched" in verdict.text


def test_percentiles_are_nearest_rank() -> None:
    values = [float(n) for n in range(1, 1001)]
    assert [percentile(values, rank) for rank in (0, 0.1, 50, 99.9, 100)] == [1, 1, 500, 999, 1000]
    assert percentile([7.0], 1) == 7.0
