"""The price list, over sockets."""

from __future__ import annotations

import pytest

from tests.support.instance import HereInstance, here

MAN = 'Man: "http://shop.example/terms"; ns=16'
VERSION = "16-Version: 3"


async def ask(app: HereInstance, method: str, path: str, *headers: str) -> tuple[int, str]:
    async with app.client() as client:
        await client.send(
            "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]).encode()
        )
        answer = (await client.all()).decode()
        return int(answer.split()[1]), answer


@pytest.mark.parametrize("required", [False, True])
async def test_who_declares_the_terms_gets_the_list(required: bool) -> None:
    async with here(terms_required=required) as app:
        status, answer = await ask(app, "M-GET", "/price-list", MAN, VERSION)
        assert status == 200
        assert "\r\nExt:\r\n" in answer
        assert 'Cache-Control: no-cache="Ext"\r\n' in answer
        assert "Tin of tea;790\r\n" in answer


async def test_a_plain_request_gets_it_only_where_the_terms_are_not_required() -> None:
    async with here() as app:
        status, answer = await ask(app, "GET", "/price-list")
        assert status == 200
        assert "Ext:" not in answer
    async with here(terms_required=True) as app:
        for method in ("GET", "HEAD"):
            status, answer = await ask(app, method, "/price-list", MAN, VERSION)  # only M- says that Man counts
            assert status == 510
            assert answer.startswith("HTTP/1.1 510 Not Extended\r\n")
            assert ("http://shop.example/terms" in answer) == (method == "GET")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "word"),
    [
        ("M-GET", "/price-list", (), 510, "needs a declaration"),
        ("M-GET", "/price-list", ('Man: "http://a.example/b"',), 510, "does not know the extension http://a.example/b"),
        ("M-GET", "/price-list", (MAN + ', "urn:x"', VERSION), 510, "does not know the extension urn:x"),
        ("M-GET", "/price-list", (MAN,), 510, "are at version 3"),
        ("M-GET", "/price-list", (MAN, "16-Version: 2"), 510, "are at version 3"),
        ("M-GET", "/price-list", (MAN, "17-Version: 3"), 510, "are at version 3"),
        ("M-GET", "/price-list", ('C-Man: "http://shop.example/terms"; ns=16', VERSION), 510, "does not know"),
        ("M-POST", "/price-list", (MAN, VERSION), 405, "M-POST is not allowed"),
        ("M-GET", "/products", (MAN, VERSION), 510, "does not know the extension http://shop.example/terms"),
        ("M-GET", "/nothing", (MAN,), 510, "does not know the extension"),
        ("M-SEARCH", "*", ('MAN: "ssdp:discover"',), 510, "does not know the extension ssdp:discover"),
        ("M-BREW", "/price-list", (MAN,), 501, "M-BREW is not implemented here"),
        ("M-GET", "/echo", (), 200, '"method":"M-GET"'),
    ],
)
async def test_what_is_mandatory_is_obeyed_or_refused(
    method: str, path: str, headers: tuple[str, ...], status: int, word: str
) -> None:
    async with here() as app:
        got, answer = await ask(app, method, path, *headers)
        assert got == status
        assert word in answer
        assert "Ext:" not in answer
