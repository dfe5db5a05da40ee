"""Faults of a DNS server, seen by who asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import pytest

from badgateway_upstream.engine.book import RefusedError
from tests.support.instance import HereInstance, here
from tests.support.proofs import proves

NAME, OTHER = "app-1.lab.test", "lb.lab.test"


@asynccontextmanager
async def server() -> AsyncIterator[HereInstance]:
    records = {NAME: ["127.0.0.1"], OTHER: ["127.0.0.1"]}
    async with here(name="dns", dns={"listen": {"port": 0}, "records": records}) as app:
        yield app


async def ask(app: HereInstance, name: str = NAME, timeout: float = 5) -> tuple[str, list[str]]:
    host, _, port = app.dns.rpartition(":")
    query = dns.message.make_query(name, "A")
    reply = await dns.asyncquery.udp(query, host, port=int(port), timeout=timeout)
    return dns.rcode.to_text(reply.rcode()), [record.address for rrset in reply.answer for record in rrset]


def fired(app: HereInstance) -> list[str]:
    assert all(firing["request_id"] is None and firing["peer"].startswith("127.0.0.1:") for firing in app.firings)
    return [firing["kind"] for firing in app.firings]


@proves("dns_nxdomain")
async def test_dns_nxdomain() -> None:
    async with server() as app:
        app.fault("dns_nxdomain", name="app-*", when={"first": 1})
        assert await ask(app, OTHER) == ("NOERROR", ["127.0.0.1"])
        assert await ask(app) == ("NXDOMAIN", [])
        assert await ask(app) == ("NOERROR", ["127.0.0.1"])
        assert fired(app) == ["dns_nxdomain"]


@proves("dns_servfail")
@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_dns_servfail(rcode: str) -> None:
    async with server() as app:
        app.fault("dns_servfail", rcode=rcode)
        assert await ask(app) == (rcode, [])
        assert fired(app) == ["dns_servfail"]


@proves("dns_silent")
async def test_dns_silent() -> None:
    async with server() as app:
        app.fault("dns_silent")
        with pytest.raises(dns.exception.Timeout):
            await ask(app, timeout=0.1)
        assert fired(app) == ["dns_silent"]


@proves("dns_wrong_address")
async def test_dns_wrong_address() -> None:
    async with server() as app:
        app.fault("dns_wrong_address", address="10.9.8.7")
        assert await ask(app) == ("NOERROR", ["10.9.8.7"])
        app.fault("dns_wrong_address")
        assert await ask(app) == ("NOERROR", ["127.0.0.2"])
        with pytest.raises(ValueError, match="must be an IP address"):
            app.fault("dns_wrong_address", address="somewhere")


async def test_a_fault_of_dns_is_refused_where_none_is_served() -> None:
    async with here() as app:
        with pytest.raises(RefusedError, match="happens in a DNS server, which app-1 is not; start it with dns"):
            app.fault("dns_nxdomain")


async def test_faults_of_other_kinds_do_not_act_on_questions() -> None:
    async with server() as app:
        app.fault("close_on_accept")
        app.fault("hang")
        assert await ask(app) == ("NOERROR", ["127.0.0.1"])
        assert fired(app) == []
