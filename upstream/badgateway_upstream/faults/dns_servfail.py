"""The DNS server cannot find out: its own upstream is away, or DNSSEC does not add up."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.dns.names import NameFault, concerns
from badgateway_upstream.engine.registry import FaultType, Lookup, register


class DnsServfail(NameFault):
    """Attributes of `dns_servfail`."""

    kind: Literal["dns_servfail"] = "dns_servfail"
    rcode: Literal["SERVFAIL", "REFUSED"] = "SERVFAIL"
    """How it says so (RFC 1035 section 4.1.1)."""


register(
    FaultType(
        name="dns_servfail",
        category="dns",
        summary="Answers that it failed (SERVFAIL), or that it will not say (REFUSED).",
        provokes="dns_error",
        attributes=DnsServfail,
        effect=Lookup(lambda spec, true: spec.rcode),
        applies=concerns,
        needs="dns",
    )
)
