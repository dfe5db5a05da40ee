"""Peaks are seen although they have passed, and can be forgotten."""

import pytest

from benchmarks import memory
from benchmarks.machine import cores
from benchmarks.stage import Stage

MIB = 1 << 20
PEAK = """
import json
def ready(): print(json.dumps({"event": "ready"}), flush=True)
ready()
input()
block = bytes(range(256)) * (32 << 12)
del block
ready()
input()
"""


def test_a_peak_that_has_passed_is_seen_until_it_is_forgotten() -> None:
    with Stage() as stage:
        child = stage.python_code(PEAK, cpu=cores()[0])
        child.ready()
        before = memory.resident(child.pid)
        assert child.process.stdin is not None
        child.process.stdin.write(b"\n")
        child.ready()
        assert 31 * MIB < memory.peak(child.pid) - before < 36 * MIB
        assert memory.resident(child.pid) - before < 4 * MIB
        if not memory.forget_peak(child.pid):
            pytest.skip("this kernel does not let a process's peak be set back")
        assert memory.peak(child.pid) - before < 4 * MIB
