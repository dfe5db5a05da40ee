from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from badgateway.control.guard import admission, errors_as_json, is_trusted_host


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8500",
        "localhost",
        "LOCALHOST:8500",
        "lab.localhost",
        "[::1]:8500",
        "[::1]",
        "10.0.0.7:1",
    ],
)
def test_hosts_that_can_only_be_this_machine_are_trusted(host: str) -> None:
    assert is_trusted_host(host, ())


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:8500", "localhost.evil.example", "127.0.0.1.nip"])
def test_names_that_a_page_could_resolve_to_us_are_not(host: str) -> None:
    assert not is_trusted_host(host, ())


def test_allowed_names_and_the_wildcard_are_trusted() -> None:
    assert is_trusted_host("lab:8500", ["lab"])
    assert is_trusted_host("anything.example", ["*"])
    assert not is_trusted_host("lab2:8500", ["lab"])


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def hello(_request: web.Request) -> web.Response:
        return web.json_response({"hello": True})

    app = web.Application(middlewares=[errors_as_json(), admission("t", ["lab"], open_paths={"/open"})])
    app.add_routes([web.get("/open", hello), web.post("/api/x", hello)])
    server = TestServer(app)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "lab:8500"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://lab:8500", "Host": "lab:8500"}, 200),
        ({"Origin": "http://lab:8501", "Host": "lab:8500"}, 403),
    ],
)
async def test_host_and_origin_are_checked_even_where_no_token_is_needed(
    url: str, headers: dict[str, str], status: int
) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/open", headers=headers) as response:
        assert response.status == status
        told = await response.json()
        assert ("error" in told) is (status == 403)


async def test_a_missing_token_is_401_and_says_which_scheme(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/api/x") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    headers = {"Authorization": "bearer t"}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/api/x", headers=headers) as response:
        assert response.status == 200
