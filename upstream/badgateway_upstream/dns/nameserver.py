"""A DNS server for the names of a chain: over UDP, authoritative for what it is told, wrong when a fault says so."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Self, cast

if TYPE_CHECKING:
    import dns.message

_LOG: Final = logging.getLogger("badgateway_upstream.dns.nameserver")
_TTL: Final = 0
"""Seconds: answers are not to be kept, or a fault would show late."""

NameAnswer = str | Sequence[str] | None
"""What a name's question comes to: an RCODE such as ``NXDOMAIN``, addresses, or None for no answer at all."""


Override = Callable[[str, NameAnswer, str], NameAnswer]


class NameServer(asyncio.DatagramProtocol):
    """Answers A and AAAA questions.

    ``records``: addresses by name. ``override``: given a question's name, the true answer and the client's address, it
    returns what is answered.
    """

    def __init__(self, records: Mapping[str, Sequence[str]], override: Override) -> None:
        import dns.message  # noqa: F401, PLC0415 - a tenth of a second that only those pay who serve names

        self._records = {name.lower(): tuple(addresses) for name, addresses in records.items()}
        self._override = override
        self._transport: asyncio.DatagramTransport
        self.asked = 0

    @classmethod
    async def open(cls, host: str, port: int, records: Mapping[str, Sequence[str]], override: Override) -> Self:
        """Listen; port 0 takes a free one. Raises OSError."""
        server = cls(records, override)
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a supervisor may hold the port for us
            sock.setblocking(False)
            sock.bind((host, port))
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, sock=sock)
        except BaseException:
            sock.close()
            raise
        return server

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``."""
        host, port = self._transport.get_extra_info("sockname")[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Answer no more."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Listening."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # before Python 3.12 it is not of that class

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question, or what somebody takes for one."""
        import dns.exception  # noqa: PLC0415 - imported by now
        import dns.message  # noqa: PLC0415 - likewise

        try:
            query = dns.message.from_wire(data)
            reply = dns.message.make_response(query)
        except (dns.exception.DNSException, ValueError) as error:
            _LOG.info("%s: no DNS question: %s", addr[0], error)
            return
        if len(query.question) != 1:
            return
        self.asked += 1
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        answer = self._override(name, self._records.get(name, "NXDOMAIN"), f"{addr[0]}:{addr[1]}")
        if answer is None:
            return
        _fill(reply, answer)
        self._transport.sendto(reply.to_wire(), addr)

    def error_received(self, exc: Exception) -> None:
        """Whoever asked does not listen any more."""
        _LOG.debug("%s", exc)


def _fill(reply: dns.message.Message, answer: str | Sequence[str]) -> None:
    import dns.flags  # noqa: PLC0415 - imported by now
    import dns.rcode  # noqa: PLC0415 - likewise
    import dns.rrset  # noqa: PLC0415 - likewise

    reply.flags |= dns.flags.AA
    if isinstance(answer, str):
        reply.set_rcode(dns.rcode.from_text(answer))
        return
    question = reply.question[0]
    version = {"A": 4, "AAAA": 6}.get(question.rdtype.name)
    fitting = [address for address in answer if ipaddress.ip_address(address).version == version]
    if fitting:
        reply.answer.append(dns.rrset.from_text_list(question.name, _TTL, "IN", question.rdtype.name, fitting))
