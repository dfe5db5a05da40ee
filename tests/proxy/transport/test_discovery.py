"""Names that are looked up again and again: their addresses are endpoints, and come and go as DNS says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

import dns.message
import dns.rrset

from badgateway_proxy.configuration.config import load_config, merge_patch
from badgateway_proxy.transport.discovery import MOST, Discovery
from tests.proxy.transport.test_resolving import knows, nameserver, says
from tests.support.answers import read_answer
from tests.support.peers import healthy
from tests.support.processes import until
from tests.support.wire import RunningHop, raw_upstream, running_hop

FAST = {"strict_dns": True, "refresh_rate": "20ms"}


def known(hop: RunningHop) -> list[str]:
    return [each["address"] for each in hop.hop.state()["endpoints"]]


class Zone:
    """A DNS server's answer that can be changed: the A records of every name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def __call__(self, query: dns.message.Message) -> bytes:
        if not self.addresses:
            return says(dns.rcode.NXDOMAIN)(query) or b""
        return knows(A=list(self.addresses))(query) or b""


async def test_every_address_of_a_name_is_an_endpoint_and_requests_take_turns() -> None:
    zone = Zone("127.0.0.2", "127.0.0.1")
    async with nameserver(zone) as server, raw_upstream(healthy) as upstream:
        port = upstream.address.rpartition(":")[2]
        resolver = FAST | {"nameserver": server.address}
        async with running_hop(f"http://app.lab.test:{port}", resolver=resolver) as hop:
            await until(lambda: len(known(hop)) == 2)
            assert known(hop) == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]  # whatever order DNS has
            zone.addresses = ("127.0.0.1",)
            await until(lambda: known(hop) == [f"127.0.0.1:{port}"])
            answer = read_answer(await hop.get("/"))
            assert (answer.status, answer.members[-1].next_hop) == (200, f"127.0.0.1:{port}")
            zone.addresses = ("127.0.0.1", "127.0.0.3")
            await until(lambda: known(hop) == [f"127.0.0.1:{port}", f"127.0.0.3:{port}"])
            assert server.asked[0] == ("app.lab.test.", "A")


async def test_while_there_is_no_such_name_requests_say_so_and_it_is_found_when_it_comes() -> None:
    zone = Zone()
    async with nameserver(zone) as server, raw_upstream(healthy) as upstream:
        port = upstream.address.rpartition(":")[2]
        resolver = FAST | {"nameserver": server.address}
        async with running_hop(f"app.lab.test:{port}", resolver=resolver) as hop:
            await until(lambda: len(server.asked) > 2)
            assert known(hop) == [f"app.lab.test:{port}"]
            answer = read_answer(await hop.get("/"))
            assert (answer.status, answer.error) == (502, "dns_error")
            zone.addresses = ("127.0.0.1",)
            await until(lambda: known(hop) == [f"127.0.0.1:{port}"])
            assert read_answer(await hop.get("/")).status == 200
            zone.addresses = ()
            await until(lambda: known(hop) == [f"app.lab.test:{port}"])


async def test_a_patch_starts_it_and_ends_it_and_a_reset_keeps_what_was_found() -> None:
    async with nameserver(Zone("127.0.0.1", "127.0.0.2")) as server:
        async with running_hop("app.lab.test:9", resolver={"nameserver": server.address}) as hop:
            for on, expected in ((True, 2), (False, 1), (True, 2)):
                hop.hop.apply_config(merge_patch(hop.hop.config, {"resolver": FAST | {"strict_dns": on}}))
                await until(lambda expected=expected: len(known(hop)) == expected)  # type: ignore[misc]
        async with running_hop("app.lab.test:9", resolver=FAST | {"nameserver": server.address}) as hop:
            await until(lambda: len(known(hop)) == 2)
            hop.hop.reset()
            assert len(known(hop)) == 2


async def test_the_system_s_resolver_finds_them_too_and_addresses_are_left_alone() -> None:
    async with running_hop("localhost:9", "127.0.0.1:9", "[::1]:9", resolver=FAST) as hop:
        await until(lambda: "localhost:9" not in known(hop))
        assert known(hop) == ["127.0.0.1:9", "[::1]:9"]  # of localhost's two the IPv4 one, which was there already


async def test_no_more_than_so_many_addresses_become_endpoints() -> None:
    class Resolver:
        async def addresses(self, host: str) -> list[tuple[str, int]]:
            return [(f"10.0.{n // 256}.{n % 256}", socket.AF_INET) for n in range(MOST + 9)]

    told: list[Mapping[str, Sequence[str]]] = []
    discovery = Discovery(asyncio.get_running_loop(), told.append)
    discovery.configure(load_config({"upstreams": ["app:9001"], "resolver": FAST}), Resolver())
    await until(lambda: told)
    discovery.close()
    assert len(told[0]["app:9001"]) == MOST
