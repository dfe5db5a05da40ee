"""The DNS server does not answer: overloaded, or its packets get lost."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.dns.names import NameFault, concerns
from badgateway_upstream.engine.registry import FaultType, Lookup, register


class DnsSilent(NameFault):
    """Attributes of `dns_silent`."""

    kind: Literal["dns_silent"] = "dns_silent"


register(
    FaultType(
        name="dns_silent",
        category="dns",
        summary="Takes questions and does not answer them.",
        provokes="dns_timeout",
        attributes=DnsSilent,
        effect=Lookup(lambda spec, true: None),
        applies=concerns,
        needs="dns",
    )
)
