"""The healthy app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from badgateway_upstream.app.environment import MissingVariableError
from tests.support.instance import HereInstance, here


async def call(app: HereInstance, method: str, path: str, body: bytes | None = None) -> tuple[int, str, Any]:
    async with app.client() as client:
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}\r\n"
        await client.send(head.encode() + (body or b""))
        top, _, rest = (await client.all()).partition(b"\r\n\r\n")
        text = top.decode()
        return int(text.split()[1]), text, json.loads(rest) if rest.startswith(b"{") else rest


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/products", 200),
        ("GET", "/products?page=2", 200),
        ("GET", "/products/8", 200),
        ("GET", "/products/9", 404),
        ("GET", "/products/x", 404),
        ("GET", "/products/1/2", 404),
        ("GET", "/products/99999999999999999999", 404),
        ("POST", "/products", 405),
        ("PROPPATCH", "/products", 501),
        ("PATCH", "/nothing", 501),
        ("BREW", "/products", 501),
        ("GET", "/orders", 405),
        ("GET", "/orders/77", 404),
        ("GET", "/nothing", 404),
        ("PATCH", "/echo", 200),
        ("GET", "/bytes/99999999999999", 404),
        ("OPTIONS", "*", 204),
        ("OPTIONS", "/products", 204),
        ("OPTIONS", "/nothing", 404),
    ],
)
async def test_resources(method: str, path: str, status: int) -> None:
    async with here() as app:
        got, head, body = await call(app, method, path)
        assert got == status
        assert "X-Instance: app-1" in head or method == "BREW"
        if method == "HEAD":
            assert body == b""
            assert "Content-Length: 0" not in head
        if status in (204, 405):
            assert "Allow: " in head


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"3", b'{"product_id": "1"}', b'{"product_id": 99}', b'{"product_id": 1, "quantity": 0}',
     b'{"product_id": true}', b'{"product_id": 99999999999999999999}', b"[" * 100_000],
)  # fmt: skip
async def test_wrong_orders(body: bytes) -> None:
    async with here() as app:
        assert (await call(app, "POST", "/orders", body))[0] == 400


async def test_orders() -> None:
    async with here() as app:
        status, head, order = await call(app, "POST", "/orders", b'{"product_id": 2, "quantity": 3}')
        assert status == 201
        assert "Location: /orders/1" in head
        assert order == {"id": 1, "product_id": 2, "quantity": 3}
        status, _, kept = await call(app, "GET", "/orders/1")
        assert {**order, "created_at": kept["created_at"]} == kept


async def test_an_order_too_large() -> None:
    async with here() as app:
        assert (await call(app, "POST", "/orders", b" " * 1_100_000))[0] == 413


async def test_echo() -> None:
    async with here() as app:
        _, _, seen = await call(app, "PUT", "/echo?a=b", b"12345")
        assert seen["method"] == "PUT"
        assert seen["target"] == "/echo?a=b"
        assert ["Host", "a"] in seen["headers"]
        assert seen["body_bytes"] == 5


@pytest.mark.parametrize("count", [0, 1, 65536, 65537, 300_000])
async def test_bytes(count: int) -> None:
    async with here() as app:
        status, head, body = await call(app, "GET", f"/bytes/{count}")
        assert status == 200
        assert f"Content-Length: {count}" in head
        assert body == (bytes(range(256)) * (count // 256 + 1))[:count]


async def test_instances_share_a_database(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.sqlite3")
    async with here(database=path) as one, here(database=path, name="app-2") as two:
        await call(one, "POST", "/orders", b'{"product_id": 1}')
        assert (await call(two, "GET", "/orders/1"))[0] == 200
        assert (await call(two, "POST", "/orders", b'{"product_id": 1}'))[2]["id"] == 2


async def test_a_broken_database_is_a_500_with_its_reason_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with here() as app:
        store = app.instance._store
        assert store is not None
        store._writer.execute("DROP TABLE products")
        assert (await call(app, "GET", "/products"))[0] == 500
        assert (await call(app, "POST", "/orders", b'{"product_id": 1}'))[0] == 500
    assert "no such table" in str(caplog.records[0].exc_info)


async def test_debug_mode_shows_what_else_is_only_in_the_log() -> None:
    secret = {"SHOP_SIGNING_KEY": "sk-secret"}
    for debug in (False, True):
        async with here(debug=debug, environment=secret) as app:
            app.fault("exception", message="customer 4711")
            status, _, body = await call(app, "GET", "/products")
            assert status == 500
            assert body["error"] == "internal server error"
            assert ("traceback" in body, body.get("environment")) == ((True, secret) if debug else (False, None))
            assert ("customer 4711" in str(body)) is debug


async def test_without_its_key_the_shop_takes_no_orders_and_does_all_else() -> None:
    async with here(environment={}) as app:
        assert (await call(app, "POST", "/orders", b'{"product_id": 1}'))[0] == 500
        assert (await call(app, "GET", "/orders/1"))[0] == 404
        assert (await call(app, "GET", "/health"))[0] == 200


async def test_a_checked_environment_lets_nothing_start_without_it() -> None:
    with pytest.raises(MissingVariableError):
        async with here(environment={}, check_environment=True):
            raise AssertionError("it started")


async def test_the_report_counts_what_was_sold() -> None:
    async with here() as app:
        await call(app, "POST", "/orders", b'{"product_id": 2, "quantity": 3}')
        status, head, body = await call(app, "GET", "/report")
        assert status == 200
        assert "Content-Type: text/csv" in head
        assert body.splitlines()[:3] == [b"product_id,name,sold,cents", b"1,Tin of tea,0,0", b"2,Teapot,3,10470"]
