from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient
from yarl import URL

from badgateway_proxy.admin.guard import make_guards, token_matches

TOKEN = "t0ken"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


def guarded(own_host: str = "127.0.0.1", allowed: tuple[str, ...] = ()) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({})

    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("secret of the house")

    app = web.Application(middlewares=make_guards(TOKEN, own_host, allowed))
    app.add_routes([web.get("/healthz", answer), web.get("/", answer), web.get("/bug", fail)])
    return app


@pytest.mark.parametrize(
    ("given", "matches"),
    [
        ("Bearer t0ken", True),
        ("bearer t0ken", True),
        ("Bearer  t0ken ", True),
        ("Bearer t0kem", False),
        ("Bearer", False),
        ("Basic t0ken", False),
        ("t0ken", False),
        ("", False),
        ("Bearer t0ken\udcff", False),
        ("Bearer tökén", False),
    ],
)
def test_the_token(given: str, matches: bool) -> None:
    assert token_matches(given, TOKEN) is matches


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8500", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("localhost.", 200),
        ("cdn.localhost:80", 200),
        ("[::1]:80", 200),
        ("127.9.9.9", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("evillocalhost", 403),
        ("192.0.2.1", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_hosts(aiohttp_client: AiohttpClient, host: str, status: int) -> None:
    client = await aiohttp_client(guarded())
    response = await client.get("/", headers=AUTH | {"Host": host})
    assert response.status == status


@pytest.mark.parametrize(
    ("own", "allowed", "host"),
    [
        ("0.0.0.0", ("lb",), "lb:80"),
        ("192.0.2.1", (), "192.0.2.1:80"),
        ("::", ("*",), "evil.example"),
        ("h", ("A.b",), "a.B"),
    ],
)
async def test_hosts_that_are_allowed(
    aiohttp_client: AiohttpClient, own: str, allowed: tuple[str, ...], host: str
) -> None:
    client = await aiohttp_client(guarded(own, allowed))
    assert (await client.get("/", headers=AUTH | {"Host": host})).status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:80", 200),
        ("HTTP://LOCALHOST:80", 200),
        ("http://localhost", 403),
        ("https://localhost:80", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
async def test_origins(aiohttp_client: AiohttpClient, origin: str, status: int) -> None:
    client = await aiohttp_client(guarded())
    response = await client.get("/", headers=AUTH | {"Host": "localhost:80", "Origin": origin})
    assert response.status == status


async def test_health_needs_no_token_but_a_known_host(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(guarded())
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/healthz", headers={"Host": "evil.example"})).status == 403


@pytest.mark.parametrize("path", ["/", "/nowhere", "/healthz/", "/healthz/../config", "/config%2f..%2fhealthz"])
async def test_everything_else_needs_it(aiohttp_client: AiohttpClient, path: str) -> None:
    client = await aiohttp_client(guarded())
    response = await client.get(URL(path, encoded=True))
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "bearer token is needed" in (await response.json())["error"]


async def test_errors_are_json(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(guarded())
    missing = await client.get("/nowhere", headers=AUTH)
    assert (missing.status, await missing.json()) == (404, {"error": "there is no such path here"})
    wrong = await client.post("/healthz", headers=AUTH)
    assert (wrong.status, await wrong.json()) == (405, {"error": "this path takes GET, HEAD"})
    assert wrong.headers["Allow"] == "GET,HEAD"


async def test_a_bug_tells_nothing_to_the_client(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = await aiohttp_client(guarded())
    response = await client.get("/bug", headers=AUTH)
    assert response.status == 500
    assert "secret" not in await response.text()
    assert "secret of the house" in caplog.text
