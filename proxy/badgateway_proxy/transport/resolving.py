"""From an upstream's name to its addresses: by the system's resolver, or by asking a DNS server.

The system's (getaddrinfo) knows /etc/hosts and whatever else the machine is set up with, and says little about what
went wrong. A DNS server that is asked directly says it in its RCODE (RFC 1035 section 4.1.1).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from badgateway_proxy.configuration.resolver_settings import ResolverSettings, nameserver_address
from badgateway_proxy.errors import ErrorType, HopError, Phase

#: (address, family), best first.
Addresses = Sequence[tuple[str, int]]

#: Longer than any deadline for connecting, which is what ends it.
_FOR_EVER = 86400.0


class Resolver(Protocol):
    """Finds addresses."""

    async def addresses(self, host: str) -> Addresses:
        """At least one address of `host`. Ends only when the caller cancels it, if no answer comes.

        Raises:
            HopError: dns_error.
        """


class SystemResolver:
    """Asks the system, in a thread of the event loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def addresses(self, host: str) -> Addresses:
        """See `Resolver`."""
        try:
            found = await self._loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise _dns_error(f"{host}: {error.strerror}") from error
        return [(str(sockaddr[0]), int(family)) for family, _, _, _, sockaddr in found]


class DnsResolver:
    """Asks one DNS server for A records, and where there are none for AAAA records; no search list, no cache.

    Args:
        nameserver: its address, as `127.0.0.1:5353`.
        retransmit: seconds until a question that got no answer is sent again.
    """

    def __init__(self, nameserver: str, retransmit: float) -> None:
        # A tenth of a second to import, which only those pay who have asked for it.
        import dns.asyncresolver  # noqa: PLC0415

        self._nameserver = nameserver
        address, port = nameserver_address(nameserver)
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [address]
        self._resolver.port = port
        self._resolver.timeout = retransmit
        self._resolver.lifetime = _FOR_EVER

    async def addresses(self, host: str) -> Addresses:
        """See `Resolver`."""
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return [(host, socket.AF_INET6 if ip.version == 6 else socket.AF_INET)]
        for record, family in (("A", socket.AF_INET), ("AAAA", socket.AF_INET6)):
            found = await self._ask(host, record)
            if found:
                return [(address, family) for address in found]
        details = f"{host} has no address, says the DNS server {self._nameserver}"
        raise _dns_error(details, {"rcode": "NOERROR"})

    async def _ask(self, host: str, record: str) -> list[str]:
        import dns.exception  # noqa: PLC0415 - imported by now
        import dns.resolver  # noqa: PLC0415 - likewise

        try:
            answer = await self._resolver.resolve(host + ".", record, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            details = f"there is no {host}, says the DNS server {self._nameserver}"
            raise _dns_error(details, {"rcode": "NXDOMAIN"}) from error
        except dns.resolver.NoNameservers as error:
            parameters = _rcode(_last_response(error))
            failed = f" with {parameters['rcode']}" if parameters else ""
            details = f"the DNS server {self._nameserver} failed{failed} for {host}"
            raise _dns_error(details, parameters) from error
        except dns.exception.DNSException as error:
            raise _dns_error(f"{host}: {error}") from error
        return [each.address for each in answer.rrset] if answer.rrset is not None else []


def resolver_for(loop: asyncio.AbstractEventLoop, settings: ResolverSettings) -> Resolver:
    """The resolver that the settings ask for."""
    if settings.nameserver is None:
        return SystemResolver(loop)
    return DnsResolver(settings.nameserver, settings.retransmit)


def _dns_error(details: str, parameters: dict[str, str | int] | None = None) -> HopError:
    return HopError(ErrorType.DNS_ERROR, details, phase=Phase.CONNECT, parameters=parameters or {})


def _last_response(error: Any) -> Any:
    """The response in which a server gave its RCODE, of those that dnspython's NoNameservers tells of."""
    return next((each[4] for each in reversed(error.kwargs["errors"]) if each[4] is not None), None)


def _rcode(response: Any) -> dict[str, str | int]:
    """The RCODE by name and, where there is one, the extended error's number (RFC 8914), as RFC 9209 has them."""
    if response is None:
        return {}
    from dns.rcode import to_text  # noqa: PLC0415 - imported by now

    extended = response.extended_errors()
    return {"rcode": to_text(response.rcode()), **({"info-code": int(extended[0].code)} if extended else {})}
