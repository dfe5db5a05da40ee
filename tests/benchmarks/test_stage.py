"""A stage's processes are pinned, counted, and gone at its end, whatever they do."""

import os
from pathlib import Path

import pytest

from benchmarks import memory
from benchmarks.machine import cores
from benchmarks.stage import Stage, free_port, wait_for_port

SPIN = """
import json, os
end = os.times().user + 0.2
while os.times().user < end: pass
print("not JSON's ready line: no event", file=__import__("sys").stderr)
print(json.dumps({"event": "log"}), flush=True)
print(json.dumps({"event": "ready", "listen": "127.0.0.1:1"}), flush=True)
input()
"""
DEAF = """
import json, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(json.dumps({"event": "ready"}), flush=True)
while True: time.sleep(60)
"""


def test_a_child_is_pinned_and_its_cpu_time_counted() -> None:
    _, cpu = cores()
    with Stage() as stage:
        child = stage.python_code(SPIN, cpu=cpu)
        assert child.ready()["listen"] == "127.0.0.1:1"
        assert os.sched_getaffinity(child.pid) == {cpu}
        assert 0.15 <= child.cpu_seconds() <= 5
        assert 1 << 20 < memory.resident(child.pid) <= memory.peak(child.pid)
        folder = stage.folder
    assert child.process.returncode is not None
    assert not folder.exists()


@pytest.mark.slow
def test_a_child_that_ignores_term_is_killed() -> None:
    with Stage() as stage:
        child = stage.python_code(DEAF, cpu=cores()[0])
        child.ready()
    assert child.process.returncode == -9


def test_children_end_when_the_benchmark_fails() -> None:
    stage = Stage()
    stage.__enter__()
    child = stage.python("benchmarks.origin", cpu=cores()[0])
    child.ready()
    error = ZeroDivisionError()
    stage.__exit__(ZeroDivisionError, error, None)
    assert child.process.returncode is not None


def test_a_child_that_ends_before_it_is_ready_says_why() -> None:
    with Stage() as stage:
        child = stage.python_code("raise SystemExit('no such thing')", cpu=cores()[0])
        with pytest.raises(RuntimeError, match="no such thing"):
            child.ready()


def test_waiting_for_a_port_ends_with_the_child() -> None:
    with Stage() as stage:
        child = stage.python_code("raise SystemExit('port in use')", cpu=cores()[0])
        with pytest.raises(RuntimeError, match="does not accept"):
            wait_for_port(free_port(), child)


def test_logs_are_read_to_their_end() -> None:
    with Stage() as stage:
        child = stage.python_code("import sys; sys.exit('x' * 5000 + 'end')", cpu=cores()[0])
        child.process.wait(10)
        assert child.tail().endswith("end")
        assert len(child.tail()) <= 2000
        assert child.log.parent == stage.folder
        assert isinstance(child.log, Path)
