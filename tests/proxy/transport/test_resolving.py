"""Names to addresses, asked of a DNS server over UDP that answers as a test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import dns.rrset
import pytest

from badgateway_proxy.configuration.resolver_settings import ResolverSettings
from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.transport.resolving import DnsResolver, SystemResolver, resolver_for
from tests.support.answers import read_answer
from tests.support.peers import healthy
from tests.support.processes import until
from tests.support.wire import raw_upstream, running_hop

Reply = Callable[[dns.message.Message], bytes | None]
V4, V6 = socket.AF_INET, socket.AF_INET6


class NameServer(asyncio.DatagramProtocol):
    """`asked` are the questions, as name and record type."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._transport: Any = None
        self.asked: list[tuple[str, str]] = []
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        self.asked.append((question.name.to_text(), question.rdtype.name))
        reply = self._reply(query)
        if reply is not None:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def nameserver(reply: Reply) -> AsyncIterator[NameServer]:
    server = NameServer(reply)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, ("127.0.0.1", 0))
    server.address = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    try:
        yield server
    finally:
        transport.close()


def knows(**records: list[str]) -> Reply:
    """Answers with these addresses by record type."""

    def reply(query: dns.message.Message) -> bytes:
        response, question = dns.message.make_response(query), query.question[0]
        found = records.get(question.rdtype.name)
        if found:
            response.answer.append(dns.rrset.from_text_list(question.name, 0, "IN", question.rdtype.name, found))
        return response.to_wire()

    return reply


def says(rcode: dns.rcode.Rcode, extended: dns.edns.EDECode | None = None) -> Reply:
    def reply(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        if extended is not None:
            response.use_edns(options=[dns.edns.EDEOption(extended)])
        return response.to_wire()

    return reply


def silent(query: dns.message.Message) -> None:
    return None


async def refused(reply: Reply) -> HopError:
    async with nameserver(reply) as server:
        with pytest.raises(HopError) as caught:
            await DnsResolver(server.address, 0.2).addresses("app.lab.test")
    error = caught.value
    assert (error.error, error.phase) == (ErrorType.DNS_ERROR, Phase.CONNECT)
    return error


async def test_addresses_in_the_servers_order() -> None:
    async with nameserver(knows(A=["10.0.0.2", "10.0.0.1"], AAAA=["::1"])) as server:
        found = await DnsResolver(server.address, 0.2).addresses("app.lab.test")
        assert sorted(found) == [("10.0.0.1", V4), ("10.0.0.2", V4)]
        assert server.asked == [("app.lab.test.", "A")]


async def test_aaaa_where_there_is_no_a() -> None:
    async with nameserver(knows(AAAA=["fd00::1"])) as server:
        assert await DnsResolver(server.address, 0.2).addresses("app.lab.test") == [("fd00::1", V6)]
        assert [record for _, record in server.asked] == ["A", "AAAA"]


async def test_an_address_is_no_question() -> None:
    async with nameserver(silent) as server:
        resolver = DnsResolver(server.address, 0.2)
        assert await resolver.addresses("127.0.0.3") == [("127.0.0.3", V4)]
        assert await resolver.addresses("::1") == [("::1", V6)]
        assert server.asked == []


async def test_no_search_list_and_no_memory() -> None:
    async with nameserver(knows(A=["127.0.0.1"])) as server:
        resolver = DnsResolver(server.address, 0.2)
        for _ in range(2):
            await resolver.addresses("app")
        assert server.asked == [("app.", "A")] * 2


@pytest.mark.parametrize(
    ("rcode", "name"),
    [(dns.rcode.NXDOMAIN, "NXDOMAIN"), (dns.rcode.SERVFAIL, "SERVFAIL"), (dns.rcode.REFUSED, "REFUSED")],
)
async def test_an_rcode_is_told_by_its_name(rcode: dns.rcode.Rcode, name: str) -> None:
    error = await refused(says(rcode))
    assert dict(error.parameters) == {"rcode": name}
    assert "says the DNS server 127.0.0.1:" in error.details or f"failed with {name}" in error.details


async def test_so_is_an_extended_error() -> None:
    error = await refused(says(dns.rcode.SERVFAIL, extended=dns.edns.EDECode.NO_REACHABLE_AUTHORITY))
    assert dict(error.parameters) == {"rcode": "SERVFAIL", "info-code": 22}


async def test_a_name_without_addresses() -> None:
    error = await refused(knows())
    assert dict(error.parameters) == {"rcode": "NOERROR"}
    assert error.details.startswith("app.lab.test has no address, says the DNS server 127.0.0.1:")


async def test_an_answer_that_is_none_is_waited_past() -> None:
    """It may be forged by somebody who wants the question to fail."""
    answer = knows(A=["127.0.0.1"])
    answers = iter((lambda query: query.to_wire()[:8], lambda query: b"no DNS at all", answer))

    def reply(query: dns.message.Message) -> bytes | None:
        return next(answers)(query)

    async with nameserver(reply) as server:
        assert await DnsResolver(server.address, 0.05).addresses("app.lab.test") == [("127.0.0.1", V4)]
        assert len(server.asked) == 3


async def test_a_question_that_gets_lost_is_asked_again() -> None:
    answer = knows(A=["127.0.0.1"])
    lost: list[int] = []

    def reply(query: dns.message.Message) -> bytes | None:
        if len(lost) < 2:
            lost.append(query.id)
            return None
        return answer(query)

    async with nameserver(reply) as server:
        assert await DnsResolver(server.address, 0.05).addresses("app.lab.test") == [("127.0.0.1", V4)]
        assert len(server.asked) == 3


async def test_without_an_answer_it_waits_until_it_is_cancelled() -> None:
    async with nameserver(silent) as server:
        waiting = asyncio.create_task(DnsResolver(server.address, 0.05).addresses("app.lab.test"))
        await until(lambda: len(server.asked) > 2)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_the_systems_resolver_knows_localhost() -> None:
    loop = asyncio.get_running_loop()
    resolver = resolver_for(loop, ResolverSettings())
    assert isinstance(resolver, SystemResolver)
    assert {address for address, _ in await resolver.addresses("localhost")} <= {"127.0.0.1", "::1"}


# -- in a hop ------------------------------------------------------------------------------------------


async def test_a_hop_asks_for_each_new_connection() -> None:
    async with nameserver(knows(A=["127.0.0.1"])) as server, raw_upstream(healthy) as upstream:
        settings = {"resolver": {"nameserver": server.address}}
        async with running_hop(f"http://app.lab.test:{upstream.port}", **settings) as hop:
            for _ in range(2):
                answer = read_answer(await hop.get())
                assert (answer.status, answer.members[-1].next_hop) == (200, f"app.lab.test:{upstream.port}")
            assert server.asked == [("app.lab.test.", "A")]


async def test_the_next_address_is_tried_where_one_refuses() -> None:
    async with (
        nameserver(knows(A=["127.0.0.2", "127.0.0.1"])) as server,
        raw_upstream(healthy) as upstream,
        running_hop(f"http://app.lab.test:{upstream.port}", resolver={"nameserver": server.address}) as hop,
    ):
        assert read_answer(await hop.get()).status == 200


async def test_a_hop_says_what_the_server_said() -> None:
    async with (
        nameserver(says(dns.rcode.NXDOMAIN)) as server,
        running_hop("http://app.lab.test:9001", resolver={"nameserver": server.address}) as hop,
    ):
        answer = read_answer(await hop.get())
        (attempt,) = (await hop.record())["attempts"]
    assert (answer.status, answer.error) == (502, "dns_error")
    assert answer.members[-1].params["rcode"] == "NXDOMAIN"
    assert (attempt["phase"], attempt["local"]) == ("connect", None)


async def test_a_silent_server_is_given_up_on_at_the_connect_deadline() -> None:
    async with nameserver(silent) as server:
        settings = {"resolver": {"nameserver": server.address, "retransmit": "10ms"}, "timeouts": {"connect": "500ms"}}
        async with running_hop("http://app.lab.test:9001", **settings) as hop:
            answer = read_answer(await hop.get())
            (attempt,) = (await hop.record())["attempts"]
        assert (answer.status, answer.error) == (504, "dns_timeout")
        assert attempt["phases"]["connect"] >= 0.499
        assert len(server.asked) > 1


async def test_an_address_that_is_not_allowed_is_not_connected_to() -> None:
    async with (
        nameserver(knows(A=["100.64.0.1"])) as server,  # RFC 6598: neither public nor private
        running_hop("http://app.lab.test:9001", resolver={"nameserver": server.address}) as hop,
    ):
        assert read_answer(await hop.get()).error == "destination_ip_prohibited"


async def test_another_server_is_asked_from_the_next_connection_on() -> None:
    async with (
        nameserver(says(dns.rcode.NXDOMAIN)) as wrong,
        nameserver(knows(A=["127.0.0.1"])) as right,
        raw_upstream(healthy) as upstream,
        running_hop(f"http://app.lab.test:{upstream.port}", resolver={"nameserver": wrong.address}) as hop,
    ):
        assert read_answer(await hop.get()).error == "dns_error"
        other = ResolverSettings(nameserver=right.address)
        hop.hop.apply_config(hop.hop.config.model_copy(update={"resolver": other}))
        assert read_answer(await hop.get()).status == 200
