import subprocess
import sys
import textwrap

import pytest


def run(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_interrupts_wherever_the_program_is_and_its_echo_does_not(name: str) -> None:
    ran = run(f"""
        import os, signal
        from badgateway.session import early
        from badgateway.session.exits import Interrupted
        early.interrupt_anywhere()
        assert not early.received()
        try:
            os.kill(os.getpid(), signal.{name})
        except Interrupted:
            os.kill(os.getpid(), signal.{name})
            print("closed in order", early.received())
        """)
    assert (ran.stdout, ran.returncode) == ("closed in order True\n", 0), ran.stderr


def test_one_whose_exception_python_loses_still_ends_the_command_before_it_begins() -> None:
    ran = run("""
        import os, signal
        from badgateway.session import early, interrupts
        from badgateway.session.exits import Interrupted
        early.interrupt_anywhere()
        class Lossy:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGTERM)
        Lossy()
        async def work():
            print("this must not run")
        try:
            interrupts.run_until_interrupted(work())
        except Interrupted:
            print("interrupted")
        """)
    assert ran.stdout == "interrupted\n", ran.stderr
