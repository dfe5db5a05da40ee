"""Faults of the TLS handshake, as OpenSSL on the client's side sees them, and faults of other kinds inside TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from badgateway_upstream.engine.book import RefusedError
from tests.support.instance import HereInstance, here
from tests.support.proofs import proves

BODY = b'{"id":1,"name":"Tin of tea","price_cents":790,"stock":120}\n'
REQUEST = b"GET /products/1 HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@asynccontextmanager
async def https(folder: Path) -> AsyncIterator[HereInstance]:
    async with here(tls=True, authority=str(folder / "authority.pem")) as app:
        yield app


def trusting(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Python's default; Debian's is OpenSSL's
    context.load_verify_locations(folder / "authority.pem")
    return context


def exchange(address: str, context: ssl.SSLContext) -> bytes:
    """The beginning of an answer. Raises what OpenSSL makes of the handshake."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 5) as sock,
        context.wrap_socket(sock, server_hostname=host) as secure,
    ):
        secure.sendall(REQUEST)
        return secure.recv(65536)


async def ask(app: HereInstance, context: ssl.SSLContext) -> bytes:
    return await asyncio.to_thread(exchange, app.instance.listen, context)


async def reason(app: HereInstance, context: ssl.SSLContext) -> str:
    """Why the handshake, or what follows it, failed."""
    with pytest.raises(ssl.SSLError) as caught:
        await ask(app, context)
    error = caught.value
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or str(error)


def fired(app: HereInstance, kind: str, count: int = 1) -> bool:
    return [(f["kind"], f["request_id"]) for f in app.firings] == [(kind, None)] * count


async def test_without_a_fault_it_serves(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        assert (await ask(app, trusting(tmp_path))).endswith(BODY)
        assert (tmp_path / "authority.pem").stat().st_mode & 0o777 == 0o600
        stranger = ssl.create_default_context()
        assert await reason(app, stranger) == "unable to get local issuer certificate"


@proves("tls_expired_certificate")
async def test_tls_expired_certificate(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_expired_certificate", expired_for="2h", when={"first": 1})
        assert await reason(app, trusting(tmp_path)) == "certificate has expired"
        assert fired(app, "tls_expired_certificate")
        assert (await ask(app, trusting(tmp_path))).endswith(BODY)


@proves("tls_wrong_name")
async def test_tls_wrong_name(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_wrong_name", name="bank.example")
        assert await reason(app, trusting(tmp_path)) == (
            "IP address mismatch, certificate is not valid for '127.0.0.1'."
        )
        assert fired(app, "tls_wrong_name")


@proves("tls_untrusted_issuer")
async def test_tls_untrusted_issuer(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_untrusted_issuer")
        assert await reason(app, trusting(tmp_path)) == "unable to get local issuer certificate"
        careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
        assert (await ask(app, careless)).endswith(BODY)
        assert fired(app, "tls_untrusted_issuer", 2)


@proves("tls_alpn_mismatch")
async def test_tls_alpn_mismatch(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_alpn_mismatch")
        assert "alert no application protocol" in await reason(app, trusting(tmp_path))
        assert fired(app, "tls_alpn_mismatch")


@proves("tls_handshake_alert")
@pytest.mark.parametrize(("alert", "words"), [(40, "HANDSHAKE_FAILURE"), (80, "INTERNAL_ERROR"), (112, "UNRECOGNIZED")])
async def test_tls_handshake_alert(alert: int, words: str, tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_handshake_alert", alert=alert)
        assert words in await reason(app, trusting(tmp_path))
        assert fired(app, "tls_handshake_alert")


@proves("tls_client_certificate")
async def test_tls_client_certificate(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_client_certificate")
        assert await reason(app, trusting(tmp_path)) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
        assert fired(app, "tls_client_certificate")


@proves("tls_old_version")
async def test_tls_old_version(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_old_version")
        assert await reason(app, trusting(tmp_path)) == "TLSV1_ALERT_PROTOCOL_VERSION"
        old = trusting(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
            old.set_ciphers("DEFAULT:@SECLEVEL=0")
            old.minimum_version = ssl.TLSVersion.TLSv1
        assert (await ask(app, old)).endswith(BODY)
        app.instance.book.clear()
        app.fault("tls_old_version", newest="TLSv1.2")
        assert (await ask(app, trusting(tmp_path))).endswith(BODY)
        modern = trusting(tmp_path)
        modern.minimum_version = ssl.TLSVersion.TLSv1_3
        assert await reason(app, modern) == "TLSV1_ALERT_PROTOCOL_VERSION"


@proves("tls_plaintext")
async def test_tls_plaintext(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_plaintext")
        assert await reason(app, trusting(tmp_path)) == "WRONG_VERSION_NUMBER"
        async with app.client() as client:  # who speaks plain HTTP is served
            await client.get()
            assert await client.answer() == BODY
        assert fired(app, "tls_plaintext", 2)


@proves("tls_garbage")
async def test_tls_garbage(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_garbage", bytes=20)
        assert await reason(app, trusting(tmp_path)) in ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG")
        async with app.client() as client:
            assert len(await client.all()) == 21
            assert client.end == "fin"


@proves("tls_handshake_hang")
async def test_tls_handshake_hang(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("tls_handshake_hang", for_="500ms")
        async with app.client() as client:
            await client.send(b"\x16\x03\x01\x00\x05hello")
            assert await client.silent(0.2)
            assert fired(app, "tls_handshake_hang")


@pytest.mark.parametrize("kind", ["tls_wrong_name", "tls_handshake_hang", "tls_garbage"])
async def test_a_fault_of_tls_is_refused_where_none_is_spoken(kind: str) -> None:
    async with here() as app:
        with pytest.raises(RefusedError, match="which app-1 does not speak; start it with tls"):
            app.fault(kind)


# -- other faults, inside TLS --------------------------------------------------------------------------


async def everything(app: HereInstance, folder: Path) -> tuple[bytes, BaseException | None]:
    """All that comes for a request until the end, and what the end was if no orderly one."""
    reader, writer = await asyncio.open_connection(*app.instance.listen.split(":"), ssl=trusting(folder))
    writer.write(REQUEST)
    got = b""
    try:
        async with asyncio.timeout(5):
            while data := await reader.read(65536):
                got += data
    except ConnectionError as error:
        return got, error
    finally:
        writer.close()
    return got, None


async def test_garbage_travels_inside_tls(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("garbage", bytes=1000, seed=7)
        inside, end = await everything(app, tmp_path)
        assert (len(inside), end) == (1000, None)
        app.instance.book.clear()
        app.fault("script", steps=[{"send": "HTTP/1.1 200 OK\\r\\n"}, {"pause": "10ms"}, {"send": "half"}, "close"])
        assert await everything(app, tmp_path) == (b"HTTP/1.1 200 OK\r\nhalf", None)


async def test_a_reset_reaches_the_client_through_tls(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("reset_mid_response")
        got, end = await everything(app, tmp_path)
        assert got.startswith(b"HTTP/1.1 200 OK")
        assert isinstance(end, ConnectionResetError)


async def test_faults_on_accept_act_past_tls(tmp_path: Path) -> None:
    async with https(tmp_path) as app:
        app.fault("close_on_accept", when={"first": 1})
        async with app.client() as client:
            assert await client.all() == b""
        assert (await ask(app, trusting(tmp_path))).endswith(BODY)
