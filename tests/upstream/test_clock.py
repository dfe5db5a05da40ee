"""The clock that faults end by."""

from __future__ import annotations

import pytest

from badgateway_upstream.clock import Clock


def test_it_advances_and_resets() -> None:
    clock = Clock(lambda: 5.0)
    assert clock.advance(10) == 10
    assert clock.advance(0.5) == 10.5
    assert clock.now() == 15.5
    clock.reset()
    assert clock.now() == 5


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_it_goes_forward_only(seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot advance"):
        Clock().advance(seconds)
