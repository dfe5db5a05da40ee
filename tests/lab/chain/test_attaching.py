import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from badgateway.chain import attaching
from badgateway.chain.attaching import located, node_of
from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.nodes import NodeAddress, scheme_of
from tests.support.peers import refused_address


def test_a_nodes_tier_follows_from_its_name() -> None:
    assert node_of("lb=http://lb:9500/") == NodeAddress("lb", "lb", "", "http://lb:9500")
    assert node_of("app-2=http://a:1,http://b:2/") == NodeAddress("app-2", "app", "http://b:2", "http://a:1")


@pytest.mark.parametrize(
    "word",
    [
        "",
        "lb",
        "lb=",
        "lb=lb:9500",
        "lb=https://lb:9500",
        "lb=http://",
        "web=http://w:1",
        "lb=http://l:1,l:2",
        "app=http://a:1,http://b:2",
    ],
)
def test_anything_else_is_refused(word: str) -> None:
    with pytest.raises(InvalidRequest, match="--attach"):
        node_of(word)


@pytest.fixture
async def admin() -> AsyncIterator[str]:
    async def config(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer t":
            return web.Response(status=401)
        return web.json_response({"listen": {"host": "0.0.0.0", "port": 8081}})

    async def state(_request: web.Request) -> web.Response:
        return web.json_response({"listen": "0.0.0.0:9001", "name": "app-7"})

    async def other(_request: web.Request) -> web.Response:
        return web.json_response(["something else"])

    app = web.Application()
    app.add_routes([web.get("/config", config), web.get("/state", state), web.get("/other/config", other)])
    server = TestServer(app)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


async def test_the_port_is_what_the_node_says_and_the_host_that_of_its_admin_api(admin: str) -> None:
    nodes = await located([NodeAddress("lb", "lb", "", admin), NodeAddress("app-1", "app", "", admin)], "t")
    assert [node.url for node in nodes] == ["http://127.0.0.1:8081", "http://127.0.0.1:9001"]


async def test_app_means_the_instances_at_all_addresses_and_each_says_its_name(
    admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(admin.rpartition(":")[2])

    async def both(self: object, host: str, port: int, **_: object) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

    async with TestServer(_named("app-10"), host="127.0.0.2", port=port):
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.BaseEventLoop, "getaddrinfo", both)
            nodes = await located([node_of(f"app=http://app:{port}"), NodeAddress("lb", "lb", "", admin)], "t")
    assert [(node.name, node.url) for node in nodes] == [
        ("lb", "http://127.0.0.1:8081"), ("app-7", "http://127.0.0.1:9001"), ("app-10", "http://127.0.0.2:9001")
    ]  # fmt: skip


async def test_an_instance_without_a_name_of_a_chain_and_a_name_that_leads_nowhere_are_told() -> None:
    async with TestServer(_named("shop")) as server:
        with pytest.raises(EnvironmentProblem, match="calls itself shop"):
            await located([node_of(f"app=http://127.0.0.1:{server.port}")], "t")
    with pytest.raises(EnvironmentProblem, match=r"app\.invalid cannot be looked up"):
        await located([node_of("app=http://app.invalid:9500")], "t")


def _named(name: str) -> web.Application:
    async def state(_request: web.Request) -> web.Response:
        return web.json_response({"listen": "0.0.0.0:9001", "name": name})

    app = web.Application()
    app.add_routes([web.get("/state", state)])
    return app


async def test_a_node_that_does_not_listen_yet_is_waited_for() -> None:
    holder = socket.socket()  # bound, and not listening: connections are refused
    holder.bind(("127.0.0.1", 0))
    asking = asyncio.create_task(located([node_of(f"app-7=http://127.0.0.1:{holder.getsockname()[1]}")], "t"))
    await asyncio.sleep(0.05)  # refused once; a machine that is slower asks later, and finds it
    async with TestServer(_named("app-7"), socket_factory=lambda *_: holder):
        (node,) = await asking
    assert node.url == "http://127.0.0.1:9001"


async def test_a_node_that_never_listens_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "DEADLINE", 0.2)
    with refused_address() as address, pytest.raises(EnvironmentProblem, match="no admin API"):
        await located([node_of(f"lb=http://{address}")], "t")


async def test_what_was_said_is_not_asked(admin: str) -> None:
    (node,) = await located([NodeAddress("lb", "lb", "http://elsewhere:1", admin)], "t")
    assert node.url == "http://elsewhere:1"


@pytest.mark.parametrize(
    ("path", "token", "said"),
    [
        ("", "wrong", "refuses us \\(401\\)"),
        ("/nothing", "t", "no admin API"),
        ("/other", "t", "not what its name says"),
    ],
)
async def test_what_is_no_node_of_ours_is_told(admin: str, path: str, token: str, said: str) -> None:
    with pytest.raises(EnvironmentProblem, match=said):
        await located([NodeAddress("lb", "lb", "", admin + path)], token)


@pytest.mark.parametrize(
    ("told", "scheme"),
    [
        ({}, "http"),
        ({"tls": {"enabled": False}}, "http"),
        ({"tls": {"enabled": True}}, "https"),
        ({"tls": False}, "http"),
        ({"tls": True}, "https"),
    ],
)
def test_a_node_says_whether_it_speaks_tls(told: dict[str, Any], scheme: str) -> None:
    assert scheme_of(told) == scheme


def test_the_url_that_is_said_may_be_https_but_not_that_of_the_admin_api() -> None:
    assert node_of("lb=http://lb:9500,https://lb:8081").url == "https://lb:8081"
    with pytest.raises(InvalidRequest):
        node_of("lb=https://lb:9500,https://lb:8081")
