"""Exchanges with upstreams over TLS: what is the same, and how each thing that goes wrong is named."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest

from badgateway_proxy.policies.balancer import parse_endpoint
from tests.support import tls
from tests.support.answers import Answer, read_answer
from tests.support.peers import OK, Script, field, healthy, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, RunningHop, raw_upstream, running_hop


@pytest.fixture
def trust(tmp_path: Path) -> dict[str, Any]:
    return {"upstream_tls": {"ca_file": tls.files(tmp_path)["ca"]}}


def https(address: str) -> str:
    return f"https://{address}"


async def failed(hop: RunningHop) -> tuple[Answer, dict[str, Any]]:
    """What a client gets, and what the one attempt was recorded as."""
    answer = read_answer(await hop.get())
    record = await hop.record()
    (attempt,) = record["attempts"]
    assert attempt["error"] == record["error"] == answer.error
    assert attempt["phase"] == "connect"
    return answer, attempt


# -- what works ----------------------------------------------------------------------------------------


async def test_connections_are_kept_and_reused(trust: dict[str, Any]) -> None:
    async with (
        raw_upstream(healthy, tls.server()) as upstream,
        running_hop(https(upstream.address), **trust) as hop,
    ):
        for _ in range(3):
            answer = read_answer(await hop.get())
            assert (answer.status, answer.data) == (200, b"ok")
            assert answer.members[-1].next_hop == upstream.address
        assert upstream.connections == 1
        records = await hop.records(3)
    assert [record["attempts"][0]["reused"] for record in records] == [False, True, True]
    assert field(upstream.heads[0], b"x-forwarded-proto") == b"http"


async def test_a_section_decides_for_all_upstreams(trust: dict[str, Any]) -> None:
    async with raw_upstream(healthy, tls.server()) as upstream:
        section = {"upstream_tls": {**trust["upstream_tls"], "enabled": True}}
        async with running_hop(upstream.address, **section) as hop:
            assert read_answer(await hop.get()).status == 200
    async with raw_upstream(healthy) as upstream:
        section = {"upstream_tls": {"enabled": False}}
        async with running_hop(https(upstream.address), **section) as hop:
            assert read_answer(await hop.get()).status == 200


async def test_a_large_body_passes_both_ways(trust: dict[str, Any]) -> None:
    body = os.urandom(3_000_000)

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        got = await reader.readexactly(len(body))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + got)

    async with raw_upstream(script, tls.server()) as upstream, running_hop(https(upstream.address), **trust) as hop:
        head = b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        answer = read_answer(await hop.send(head + body))
        assert answer.data == body


async def test_a_tunnel_goes_through_tls(trust: dict[str, Any]) -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst")
        while data := await reader.read(65536):
            writer.write(data)

    async with (
        raw_upstream(script, tls.server()) as upstream,
        running_hop(https(upstream.address), **trust) as hop,
        hop.client() as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        await client.until(b"first")
        await client.send(b"over TLS and back")
        await client.until(b"over TLS and back")


async def test_the_name_asked_for_is_the_upstreams_host_unless_told_otherwise(trust: dict[str, Any]) -> None:
    asked: list[str | None] = []
    context = tls.server(tls.certificate("shop.example", "localhost"))
    context.sni_callback = lambda secure, name, _: asked.append(name)
    async with raw_upstream(healthy, context) as upstream:
        async with running_hop(f"https://localhost:{upstream.port}", **trust) as hop:
            assert read_answer(await hop.get()).status == 200
        section = {"upstream_tls": {**trust["upstream_tls"], "server_name": "shop.example"}}
        async with running_hop(https(upstream.address), **section) as hop:
            assert read_answer(await hop.get()).status == 200
    assert asked == ["localhost", "shop.example"]


async def test_a_change_of_trust_is_in_force_for_the_next_request(trust: dict[str, Any]) -> None:
    stranger = tls.server(tls.certificate(tls.HOST, by="strangers"))
    async with raw_upstream(healthy, stranger) as upstream, running_hop(https(upstream.address), **trust) as hop:
        assert read_answer(await hop.get()).error == "tls_certificate_error"
        config = hop.hop.config
        careless = config.upstream_tls.model_copy(update={"verify": False})
        hop.hop.apply_config(config.model_copy(update={"upstream_tls": careless}))
        assert read_answer(await hop.get()).status == 200
        hop.hop.apply_config(config)
        assert read_answer(await hop.get()).error == "tls_certificate_error"  # though an idle connection was there


# -- certificates --------------------------------------------------------------------------------------

CERTIFICATES = [
    (tls.certificate(tls.HOST, lasts=-2), "the peer's certificate is refused: it has expired"),
    (tls.certificate("other.example"), "the peer's certificate is refused: it is not for 127.0.0.1"),
    (
        tls.certificate(tls.HOST, by="strangers"),
        "the peer's certificate is refused: it is signed by an authority that this hop does not trust",
    ),
]


@pytest.mark.parametrize(("leaf", "words"), CERTIFICATES, ids=["expired", "wrong name", "untrusted"])
async def test_a_certificate_that_is_not_good_enough(leaf: Any, words: str, trust: dict[str, Any]) -> None:
    async with (
        raw_upstream(healthy, tls.server(leaf)) as upstream,
        running_hop(https(upstream.address), **trust) as hop,
    ):
        answer, attempt = await failed(hop)
        assert (answer.status, answer.error, attempt["details"]) == (502, "tls_certificate_error", words)
        assert answer.members[-1].next_hop == upstream.address
    assert upstream.heads == []
    section = {"upstream_tls": {"verify": False}}
    async with (
        raw_upstream(healthy, tls.server(leaf)) as upstream,
        running_hop(https(upstream.address), **section) as h,
    ):
        assert read_answer(await h.get()).status == 200


# -- alerts: OpenSSL's own, over blocking sockets ------------------------------------------------------


def refusing(alert: int) -> ssl.SSLContext:
    context = tls.server()
    context.sni_callback = lambda *_: alert
    return context


def old() -> ssl.SSLContext:
    context = tls.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context


ALERTS = [
    (refusing(40), 40, "handshake_failure"),
    (refusing(112), 112, "unrecognized_name"),
    (refusing(120), 120, "no_application_protocol"),
    (old(), 70, "protocol_version"),
]


@pytest.mark.parametrize(("context", "number", "name"), ALERTS, ids=[case[2] for case in ALERTS])
async def test_an_alert_in_the_handshake(
    context: ssl.SSLContext, number: int, name: str, trust: dict[str, Any]
) -> None:
    with tls.openssl_server(context) as address:
        async with running_hop(https(address), **trust) as hop:
            answer, attempt = await failed(hop)
    assert (answer.status, answer.error) == (502, "tls_alert_received")
    assert answer.members[-1].params["alert-id"] == number
    assert answer.members[-1].params["alert-message"] == name
    assert attempt["details"].startswith(f"the peer ended TLS with the alert {name} ({number}): ")
    assert attempt["first_bytes"] == f"\\x15\\x03\\x03\\x00\\x02\\x02{_shown(number)}"


def _shown(number: int) -> str:
    return chr(number) if 0x20 <= number < 0x7F else f"\\x{number:02x}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_peer_that_wants_a_client_certificate(version: ssl.TLSVersion, trust: dict[str, Any]) -> None:
    context = tls.server()
    tls.authority(tls.OURS).configure_trust(context)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    with tls.openssl_server(context, OK) as address:
        async with running_hop(https(address), **trust) as hop:
            answer = read_answer(await hop.get())
            (attempt,) = (await hop.record())["attempts"]
    assert (answer.status, answer.error) == (502, "tls_alert_received")
    if version is ssl.TLSVersion.TLSv1_2:
        assert (answer.members[-1].params["alert-id"], attempt["phase"]) == (40, "connect")
    else:  # where the hop's part of the handshake is over before the peer looks at what it sent
        assert (answer.members[-1].params["alert-id"], attempt["phase"]) == (116, "wait")
        assert "it wants a client certificate" in attempt["details"]


# -- no TLS --------------------------------------------------------------------------------------------


def answers_anything(data: bytes) -> Script:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.read(65536)).startswith(b"\x16\x03\x01")
        if data:
            writer.write(data)
            await writer.drain()

    return script


NO_TLS = [
    (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "the peer does not speak TLS: it sent plain HTTP",
        "HTTP/1.1 400 Bad Request",
    ),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "the peer does not speak TLS: it sent SSH", "SSH-2.0-OpenSSH_9.2"),
    (b"\x8f" * 600, "the peer does not speak TLS: it sent bytes that are no TLS record", "\\x8f" * 256),
    (b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00", "TLS with the peer failed: unexpected message", "\\x16\\x03\\x03"),
]


@pytest.mark.parametrize(("data", "words", "first"), NO_TLS, ids=["http", "ssh", "garbage", "wrong order"])
async def test_a_peer_that_does_not_speak_tls(data: bytes, words: str, first: str, trust: dict[str, Any]) -> None:
    async with (
        raw_upstream(answers_anything(data)) as upstream,
        running_hop(https(upstream.address), **trust) as hop,
    ):
        answer, attempt = await failed(hop)
    assert (answer.status, answer.error, attempt["details"]) == (502, "tls_protocol_error", words)
    assert attempt["first_bytes"].startswith(first)


async def test_a_peer_that_closes_in_the_handshake(trust: dict[str, Any]) -> None:
    async with raw_upstream(answers_anything(b"")) as upstream, running_hop(https(upstream.address), **trust) as hop:
        answer, attempt = await failed(hop)
    assert (answer.status, answer.error) == (502, "connection_terminated")
    assert attempt["details"] == f"{upstream.address} closed the connection in the TLS handshake"


async def test_a_handshake_has_the_connect_deadline(trust: dict[str, Any]) -> None:
    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async with (
        raw_upstream(script) as upstream,
        running_hop(https(upstream.address), **trust, timeouts={"connect": "80ms"}) as hop,
    ):
        answer, attempt = await failed(hop)
        assert (answer.status, answer.error) == (504, "connection_timeout")
        assert attempt["details"] == f"the TLS handshake with {upstream.address} was not over in time"
        assert attempt["phases"]["connect"] >= 0.079


async def test_a_failed_handshake_is_a_failed_connect_to_the_retry_policy(trust: dict[str, Any]) -> None:
    retry = {"attempts": 2, "on": ["connect-failure"], "backoff": {"base": "0s"}}
    async with (
        raw_upstream(healthy, tls.server(tls.certificate("other.example"))) as wrong,
        raw_upstream(healthy, tls.server()) as right,
        running_hop(https(wrong.address), https(right.address), **trust, retry=retry) as hop,
    ):
        assert read_answer(await hop.get()).status == 200
        attempts = (await hop.record())["attempts"]
    assert [attempt["error"] for attempt in attempts] == ["tls_certificate_error", None]


# -- later ---------------------------------------------------------------------------------------------


def beneath(*parts: bytes, raw: bytes = b"", end: bool = False) -> Script:
    """Sends these parts over TLS, then raw bytes past it, or a FIN without close_notify."""

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        for part in parts:
            writer.write(part)
        await writer.drain()
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as sock:
            if raw:
                sock.send(raw)
            if end:
                sock.shutdown(socket.SHUT_WR)
            await reader.read()

    return script


async def test_garbage_past_tls_in_place_of_a_response(trust: dict[str, Any]) -> None:
    script = beneath(raw=OK)
    async with raw_upstream(script, tls.server()) as upstream, running_hop(https(upstream.address), **trust) as hop:
        answer = read_answer(await hop.get())
        (attempt,) = (await hop.record())["attempts"]
    assert (answer.status, answer.error, attempt["phase"]) == (502, "tls_protocol_error", "wait")
    assert attempt["details"] == "the peer sent bytes that are no TLS in the middle of TLS"


async def test_a_body_that_ends_without_close_notify_may_not_be_all(trust: dict[str, Any]) -> None:
    """RFC 9112 section 9.8: such a response that is framed by the connection's end is incomplete."""
    script = beneath(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nperhaps all", end=True)
    async with raw_upstream(script, tls.server()) as upstream, running_hop(https(upstream.address), **trust) as hop:
        raw = await hop.get()
        assert raw.endswith(b"perhaps all\r\n")  # and no last chunk
        record = await hop.record()
    assert (record["error"], record["truncated"]) == ("http_response_incomplete", True)


async def test_with_close_notify_it_is_all(trust: dict[str, Any]) -> None:
    script = says(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
    async with raw_upstream(script, tls.server()) as upstream, running_hop(https(upstream.address), **trust) as hop:
        assert read_answer(await hop.get()).data == b"all of it"
        assert not (await hop.record())["truncated"]


async def test_an_idle_connection_that_the_peer_closes_is_not_used_again(trust: dict[str, Any]) -> None:
    async with (
        raw_upstream(says(OK), tls.server()) as upstream,
        running_hop(https(upstream.address), **trust) as hop,
    ):
        for _ in range(2):
            assert read_answer(await hop.get()).status == 200
            await until(lambda: not hop.hop.pool.open, what="the connection's end")
    assert upstream.connections == 2


async def test_an_idle_connection_serves_only_whoever_speaks_tls(trust: dict[str, Any]) -> None:
    async with (
        raw_upstream(healthy, tls.server()) as upstream,
        running_hop(https(upstream.address), **trust) as hop,
    ):
        assert read_answer(await hop.get()).status == 200
        pool, now = hop.hop.pool, asyncio.get_running_loop().time()
        plain, secure = parse_endpoint(upstream.address), parse_endpoint(https(upstream.address))
        assert (plain.text, pool.counts(plain)) == (secure.text, 0)
        assert pool.idle_connection(plain, now) is None
        assert pool.counts(secure) == 1
        hop.hop.apply_config(hop.hop.config.model_copy(update={"upstreams": (upstream.address,)}))
        assert read_answer(await hop.get()).error == "connection_terminated"  # plain HTTP, to a port that speaks TLS
        assert (await hop.records(2))[1]["attempts"][0]["reused"] is False


async def test_health_checks_speak_tls_and_see_what_requests_would(trust: dict[str, Any]) -> None:
    health = {"health": {"enabled": True, "interval": "20ms", "fall": 1, "rise": 1}}
    async with (
        raw_upstream(healthy, tls.server(tls.certificate("other.example"))) as wrong,
        raw_upstream(healthy, tls.server()) as right,
        running_hop(https(wrong.address), https(right.address), **trust, **health) as hop,
    ):
        told = {wrong.address: "tls_certificate_error", right.address: "status 200"}
        await until(lambda: checks(hop) == told, what="both checked")
        assert [read_answer(await hop.get()).status for _ in range(4)] == [200] * 4


def checks(hop: RunningHop) -> dict[str, str]:
    """What came of each endpoint's last check."""
    return {each["address"]: each["last_check"] for each in hop.hop.state()["endpoints"]}
