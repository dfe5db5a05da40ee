"""The name was deleted from DNS, or was never there."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.dns.names import NameFault, concerns
from badgateway_upstream.engine.registry import FaultType, Lookup, register


class DnsNxdomain(NameFault):
    """Attributes of `dns_nxdomain`."""

    kind: Literal["dns_nxdomain"] = "dns_nxdomain"


register(
    FaultType(
        name="dns_nxdomain",
        category="dns",
        summary="Answers that there is no such name (NXDOMAIN).",
        provokes="dns_error",
        attributes=DnsNxdomain,
        effect=Lookup(lambda spec, true: "NXDOMAIN"),
        applies=concerns,
        needs="dns",
    )
)
