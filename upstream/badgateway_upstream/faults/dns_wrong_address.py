"""The name still leads to where the app was before it moved."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator

from badgateway_upstream.dns.names import NameFault, concerns
from badgateway_upstream.engine.registry import FaultType, Lookup, register


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address, such as 127.0.0.2") from None


class DnsWrongAddress(NameFault):
    """Attributes of `dns_wrong_address`."""

    kind: Literal["dns_wrong_address"] = "dns_wrong_address"
    address: Annotated[str, AfterValidator(_address)] = "127.0.0.2"
    """Which; nobody of the chain listens there."""


register(
    FaultType(
        name="dns_wrong_address",
        category="dns",
        summary="Answers with an address that is not the app's.",
        provokes="connection_refused",
        attributes=DnsWrongAddress,
        effect=Lookup(lambda spec, true: [spec.address]),
        applies=concerns,
        needs="dns",
    )
)
