"""Which names a fault is about."""

from __future__ import annotations

import pytest

from badgateway_upstream import FaultSpec
from badgateway_upstream.dns.names import NameFault, concerns
from badgateway_upstream.engine.schedule import Occasion


@pytest.mark.parametrize(
    ("pattern", "name", "concerned"),
    [
        ("*", "app-1.lab.test", True),
        ("app-*", "app-1.lab.test", True),
        ("APP-1.lab.test", "app-1.lab.test", True),
        ("app-*", "lb.lab.test", False),
        ("app-1", "app-1.lab.test", False),
    ],
)
def test_a_fault_concerns_the_names_that_its_pattern_matches(pattern: str, name: str, concerned: bool) -> None:
    spec = FaultSpec.model_validate({"kind": "dns_nxdomain", "name": pattern})
    assert isinstance(spec, NameFault)
    assert concerns(spec, Occasion("dns", path=name)) is concerned
