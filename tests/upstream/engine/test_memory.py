"""Memory that the kernel refuses, and memory that grows. Being killed for it is tested with real processes."""

from __future__ import annotations

import resource

import pytest

from badgateway_upstream.engine.memory import MIB, Leak, exceed_address_space, resident


def test_the_kernel_refuses_more_address_space_and_the_limit_is_as_before() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    was_resident = resident()
    for _ in range(5):
        with pytest.raises(MemoryError):
            exceed_address_space(16 * MIB)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert resident() < was_resident + 16 * MIB


def test_a_leak_without_a_limit_is_resident_until_its_end() -> None:
    before = resident()
    leak = Leak()
    assert "by 32 MiB" in leak.begin(32 * MIB, 0, None)
    assert resident() >= before + 30 * MIB
    assert leak.begin(32 * MIB, 0, None).endswith("are resident"), "once is enough"
    leak.end()
    leak.end()
    assert resident() < before + 8 * MIB
