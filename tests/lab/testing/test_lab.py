import inspect

import pytest

from badgateway.testing import Lab
from badgateway.testing.lab import duration
from badgateway_upstream import FAULTS
from tests.support.asking import status_of


@pytest.mark.parametrize(
    ("given", "text"), [(30, "30s"), (0.25, "0.25s"), ("2m", "2m"), (1e-6, "0.000001s"), (0, "0s")]
)
def test_durations_are_seconds_or_text(given: float | str, text: str) -> None:
    assert duration(given) == text


def test_no_attribute_of_a_fault_has_the_name_of_a_condition() -> None:
    own = {name for name in inspect.signature(Lab.fault).parameters if name not in {"self", "kind", "for_", "when"}}
    for fault in FAULTS.values():
        assert not own & fault.attributes.model_fields.keys(), fault.name


def test_conditions_and_attributes_find_their_places(badgateway: Lab) -> None:
    with badgateway.fault("app", "latency", latency="1ms", path="/orders*", method=("GET", "PUT"), may_not_fire=True):
        status_of(badgateway)
        status_of(badgateway, "/orders/1")
        [told] = badgateway._control.faults()
    assert told["when"] == {"path": "/orders*", "method": ["GET", "PUT"]}
    assert told["attributes"] == {"latency": "1ms"}
    assert told["fired"] == 1


def test_time_passes_when_it_is_told_to(badgateway: Lab) -> None:
    fault = badgateway.fault("app", "reset_before_response", for_=30)
    assert status_of(badgateway) == 502
    badgateway.clock.advance(31)
    assert status_of(badgateway) == 200
    assert fault.fired == 1


def test_exchanges_are_found_by_path_and_by_who_decided(badgateway: Lab) -> None:
    badgateway.fault("app", "garbage", path="/orders/1")
    for path in ("/products", "/orders/1?x=1", "/products"):
        status_of(badgateway, path)
    assert len(badgateway.exchanges()) == 3
    assert len(badgateway.exchanges(limit=1)) == 1
    [one] = badgateway.exchanges(path="/orders/1")
    assert badgateway.exchanges(decided_by="lb") == [one]
    assert badgateway.exchanges(request_id=one.request_id) == [one]
    assert len(badgateway.exchanges(decided_by="app")) == 2


def test_the_report_draws_the_latest_and_counts_the_faults(badgateway: Lab) -> None:
    fault = badgateway.fault("app", "garbage", path="/orders/1")
    for _ in range(7):
        status_of(badgateway)
    status_of(badgateway, "/orders/1")
    lines = badgateway.report().splitlines()
    assert lines[0] == f"8 requests through {badgateway.url}; the last 5:"
    assert sum(line.startswith("GET ") for line in lines) == 5
    assert any("lb → app-" in line and "http_protocol_error" in line for line in lines)
    assert lines[-1] == f"fault {fault}: fired 1 time"


def test_a_lab_of_ones_own_needs_no_session(badgateway: Lab) -> None:
    assert badgateway.session_headers == {}
    assert badgateway.urls.keys() == {"cdn", "lb", "app-1", "app-2"}
    assert badgateway.url == badgateway.urls["cdn"]
    assert badgateway.control.startswith("http://127.0.0.1:")
    assert badgateway.token
