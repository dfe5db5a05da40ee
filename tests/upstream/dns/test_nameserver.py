"""A DNS server over a real UDP socket, asked with real questions and with what is none."""

from __future__ import annotations

import socket
from typing import Any

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from tests.support.instance import HereInstance, here

RECORDS = {"app-1.lab.test": ["127.0.0.1", "127.0.0.3"], "six.lab.test": ["::1"]}


def settings(**more: Any) -> dict[str, Any]:
    return {"dns": {"listen": {"port": 0}, "records": RECORDS}, **more}


async def ask(app: HereInstance, name: str, record: str = "A") -> dns.message.Message:
    host, _, port = app.dns.rpartition(":")
    return await dns.asyncquery.udp(dns.message.make_query(name, record), host, port=int(port), timeout=30)


def addresses(reply: dns.message.Message) -> list[str]:
    return sorted(record.address for rrset in reply.answer for record in rrset)


async def test_names_have_their_addresses() -> None:
    async with here(**settings()) as app:
        reply = await ask(app, "APP-1.lab.test.")
        assert (reply.rcode(), addresses(reply)) == (dns.rcode.NOERROR, ["127.0.0.1", "127.0.0.3"])
        assert [rrset.ttl for rrset in reply.answer] == [0]
        assert addresses(await ask(app, "six.lab.test", "AAAA")) == ["::1"]


async def test_a_name_without_such_a_record_exists_all_the_same() -> None:
    async with here(**settings()) as app:
        for name, record in (("six.lab.test", "A"), ("app-1.lab.test", "AAAA"), ("app-1.lab.test", "MX")):
            reply = await ask(app, name, record)
            assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


async def test_any_other_name_does_not_exist() -> None:
    async with here(**settings()) as app:
        assert (await ask(app, "elsewhere.example")).rcode() == dns.rcode.NXDOMAIN


async def test_what_is_no_question_gets_no_answer_and_does_no_harm() -> None:
    async with here(**settings()) as app:
        host, _, port = app.dns.rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            response = dns.message.make_response(dns.message.make_query("a.test", "A")).to_wire()
            nothing = dns.message.Message().to_wire()
            for data in (b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", bytes(512), response, nothing):
                sock.sendto(data, (host, int(port)))
            assert addresses(await ask(app, "app-1.lab.test")) == ["127.0.0.1", "127.0.0.3"]
            with pytest.raises(BlockingIOError):
                sock.recv(512)
