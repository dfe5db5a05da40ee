"""The components may not import each other, so each has this file; it must stay the same in both."""

from __future__ import annotations

from pathlib import Path

import badgateway_proxy.policies.near_addresses
import badgateway_upstream.near_addresses


def test_both_copies_are_the_same() -> None:
    ours, theirs = badgateway_upstream.near_addresses.__file__, badgateway_proxy.policies.near_addresses.__file__
    assert Path(ours).read_bytes() == Path(theirs).read_bytes()
