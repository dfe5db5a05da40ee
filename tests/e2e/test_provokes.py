"""What each fault says that the next hop reports is what a real hop reports."""

from __future__ import annotations

import pytest

from badgateway_upstream import FAULTS
from tests.support.docs.measured import reactions


@pytest.mark.slow
async def test_every_fault_provokes_what_it_says_at_a_real_hop() -> None:
    seen = await reactions()
    assert set(seen) == {name for name in FAULTS if name != "script"}  # what a script provokes is up to its author
    said = {name: f"`{FAULTS[name].provokes}`" if FAULTS[name].provokes else "relayed" for name in seen}
    wrong = {name: (said[name], words) for name, words in seen.items() if not words.endswith(said[name])}
    assert not wrong, "fault: (said, seen)"
