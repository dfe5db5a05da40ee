"""Memory that the kernel refuses, and memory that grows. Being killed for it is tested with real processes."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from badgateway_upstream.engine.memory import MIB, Leak, exceed_address_space, resident


def test_the_kernel_refuses_more_address_space_and_the_limit_is_as_before() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError):
        exceed_address_space(16 * MIB)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


GROWTH = """
from badgateway_upstream.engine.memory import MIB, exceed_address_space, resident

before = resident()
for _ in range(5):
    try:
        exceed_address_space(100 * MIB)
    except MemoryError:
        continue
    raise SystemExit("not refused")
print((resident() - before) // MIB)
"""


def test_nothing_of_what_was_allocated_is_left() -> None:
    """In a process of its own: what a heap full of other tests' leavings does is malloc's affair."""
    grown = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True, timeout=90)
    assert int(grown.stdout) < 8


def test_a_leak_without_a_limit_is_resident_until_its_end() -> None:
    before = resident()
    leak = Leak()
    assert "by 32 MiB" in leak.begin(32 * MIB, 0, None)
    assert resident() >= before + 30 * MIB
    assert leak.begin(32 * MIB, 0, None).endswith("are resident"), "once is enough"
    leak.end()
    leak.end()
    assert resident() < before + 8 * MIB
