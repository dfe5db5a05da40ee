import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.testing import Lab
from tests.support.asking import status_of


def test_a_fault_lasts_for_its_block(badgateway: Lab) -> None:
    with badgateway.fault("app", "reset_before_response") as fault:
        assert fault.fired == 0
        assert status_of(badgateway) == 502
        assert fault.fired == 1
        assert fault.firings[0]["kind"] == "reset_before_response"
        assert "struck" in fault.proof
    assert status_of(badgateway) == 200
    assert fault.fired == 1
    assert str(fault) == f"{fault.id} (reset_before_response at app)"


def test_clearing_twice_does_no_harm_and_what_was_reset_is_remembered(badgateway: Lab) -> None:
    fault = badgateway.fault("app", "empty_response")
    assert status_of(badgateway) == 502
    assert fault.fired == 1
    fault.clear()
    fault.clear()
    badgateway.reset()
    assert fault.fired == 1
    fault.clear()


def test_a_fault_that_kills_counts_though_it_is_over(badgateway: Lab) -> None:
    with badgateway.fault("app", "crash") as fault:
        assert fault.fired == 2
        assert "SIGKILL" in fault.proof
    assert status_of(badgateway) == 502
    badgateway.process("app").restart()
    assert status_of(badgateway) == 200


def test_a_fault_that_is_none_says_what_was_meant(badgateway: Lab) -> None:
    with pytest.raises(InvalidRequest, match=r"did you mean '?\"?hang"):
        badgateway.fault("app", "hangg")
    assert badgateway.faults == []
