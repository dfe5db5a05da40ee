import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from badgateway.session.exits import Interrupted
from badgateway.session.interrupts import run_until_interrupted


def test_the_result_is_the_coroutines() -> None:
    async def seven() -> int:
        return 7

    assert run_until_interrupted(seven()) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_it_and_lets_it_close(number: signal.Signals) -> None:
    closed = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    with pytest.raises(Interrupted):
        run_until_interrupted(work())
    assert closed == [True]


def test_an_error_passes_through() -> None:
    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_until_interrupted(fails())


def test_a_cancellation_of_its_own_is_no_interruption() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_until_interrupted(cancelled())


def test_the_third_signal_ends_a_closing_that_hangs() -> None:
    script = """
    import asyncio, os, signal, sys
    from badgateway.session import interrupts
    interrupts.ECHO = 0
    async def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
    interrupts.run_until_interrupted(work())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 130
    assert ended.stderr == "badgateway: closing already; once more to leave at once\n"
