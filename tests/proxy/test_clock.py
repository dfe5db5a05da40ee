import time

import pytest

from badgateway_proxy.clock import Clock


def test_goes_with_the_monotonic_clock() -> None:
    before = time.monotonic()
    assert before <= Clock().now() <= time.monotonic()


def test_advances_and_comes_back() -> None:
    clock = Clock(lambda: 100.0)
    assert clock.advance(30.0) == 30.0
    assert clock.advance(0.5) == 30.5
    assert clock.now() == 130.5
    clock.reset()
    assert clock.now() == 100.0


@pytest.mark.parametrize("step", [-1.0, float("inf"), float("nan")])
def test_never_steps_back(step: float) -> None:
    clock = Clock(lambda: 100.0)
    with pytest.raises(ValueError, match="cannot advance"):
        clock.advance(step)
    assert clock.now() == 100.0
