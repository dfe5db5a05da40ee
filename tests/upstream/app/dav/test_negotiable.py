"""Type maps among the files, over sockets."""

from __future__ import annotations

import pytest

from badgateway_upstream.app.negotiation import TYPE_MAP
from tests.support.instance import HereInstance, here

MAP = (
    b"URI: m.en.html\nContent-Type: text/html\nContent-Language: en\n\n"
    b"URI: m.de.html\nContent-Type: text/html\nContent-Language: de\n"
)
NESTED = MAP.replace(b"m.en.html", b"en.var")


async def ask(app: HereInstance, method: str, path: str, body: bytes = b"", *headers: str) -> tuple[int, str, bytes]:
    async with app.client() as client:
        lines = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", f"Content-Length: {len(body)}", *headers]
        await client.send("\r\n".join([*lines, "", ""]).encode() + body)
        top, _, rest = (await client.all()).partition(b"\r\n\r\n")
        return int(top.split()[1]), top.decode(), rest


async def store(app: HereInstance, type_map: bytes, *, content_type: str = TYPE_MAP) -> None:
    for name in ("en", "de"):
        await ask(app, "PUT", f"/dav/m.{name}.html", name.encode(), "Content-Type: text/html")
    await ask(app, "PUT", "/dav/m.var", type_map, f"Content-Type: {content_type}")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("negotiate", [(), ("Negotiate: *",)])
@pytest.mark.parametrize("content_type", [TYPE_MAP, "Application/X-Type-Map; charset=utf-8"])
async def test_the_server_chooses(method: str, negotiate: tuple[str, ...], content_type: str) -> None:
    async with here() as app:
        await store(app, MAP, content_type=content_type)
        status, head, body = await ask(app, method, "/dav/m.var", b"", "Accept-Language: de", *negotiate)
        assert (status, body) == (200, b"de" if method == "GET" else b"")
        assert "Content-Location: m.de.html\r\n" in head
        assert "Content-Language: de\r\n" in head
        assert "TCN: choice\r\n" in head
        assert "Vary: negotiate, accept, accept-language\r\n" in head
        assert 'Alternates: {"m.en.html" 1 {type text/html} {language en}}, {' in head
        assert "Content-Length: 2\r\n" in head


async def test_the_client_chooses() -> None:
    async with here() as app:
        await store(app, MAP)
        status, head, body = await ask(app, "GET", "/dav/m.var", b"", "Negotiate: vlist")
        assert status == 300
        assert "TCN: list\r\n" in head
        assert b'<a href="m.en.html">' in body
        status, head, _ = await ask(app, "GET", "/dav/m.var", b"", "Negotiate: *", "Accept-Language: fr")
        assert status == 300
        status, head, _ = await ask(app, "GET", "/dav/m.var", b"", "Accept-Language: fr")
        assert status == 406
        assert "Alternates: " in head


async def test_a_variant_that_negotiates_is_a_506_whoever_is_given_it() -> None:
    async with here() as app:
        await store(app, NESTED)
        await ask(app, "PUT", "/dav/en.var", MAP, f"Content-Type: {TYPE_MAP}")
        for headers in (("Accept-Language: en",), ("Negotiate: *", "Accept-Language: en"), ()):
            status, head, body = await ask(app, "GET", "/dav/m.var", b"", *headers)
            assert status == 506
            assert head.startswith("HTTP/1.1 506 Variant Also Negotiates\r\n")
            assert "TCN" not in head
            assert b"en.var is negotiated itself" in body
        assert (await ask(app, "GET", "/dav/m.var", b"", "Accept-Language: de"))[0] == 200
        assert (await ask(app, "GET", "/dav/m.var", b"", "Negotiate: vlist"))[0] == 300
        assert (await ask(app, "GET", "/dav/en.var", b"", "Accept-Language: en"))[0] == 200
        await ask(app, "PUT", "/dav/m.var", MAP, f"Content-Type: {TYPE_MAP}")
        assert (await ask(app, "GET", "/dav/m.var"))[0] == 200


async def test_a_map_that_chooses_itself_is_a_506() -> None:
    async with here() as app:
        await store(app, b"URI: m.var\n")
        assert (await ask(app, "GET", "/dav/m.var"))[0] == 506


async def test_a_variant_that_is_not_there() -> None:
    async with here() as app:
        await store(app, b"URI: gone.html\n")
        assert (await ask(app, "GET", "/dav/m.var"))[0] == 404


async def test_a_map_that_cannot_be_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with here() as app:
        await store(app, b"<html>")
        assert (await ask(app, "GET", "/dav/m.var"))[0] == 500
    assert "no line of a type map" in str(caplog.records[0].exc_info)
