"""Finding out where hops and instances that run already listen, from nothing but their admin APIs.

A node in a container listens on 0.0.0.0, so the host is that of its admin URL and the port is what it says itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.nodes import NodeAddress, scheme_of
from badgateway.processes.together import together

TIERS: Final = ("cdn", "lb")
APP: Final = "app"
DEADLINE: Final = 5.0
"""Seconds for a node to answer, and to begin to listen."""
POLL: Final = 0.1
"""Seconds until a node that refused the connection is asked again."""


def node_of(word: str) -> NodeAddress:
    """`lb=http://lb:9500` as an address; the tier follows from the name.

    `url` stays empty unless it is written behind a comma: `lb=http://lb:9500,http://lb:8081`. `app=http://app:9500`
    stands for the instances at all addresses of that name.

    Raises:
        InvalidRequest: it is not written so.
    """
    name, equals, addresses = word.partition("=")
    admin, _, url = (address.rstrip("/") for address in addresses.partition(","))
    if not equals or not _is_http(admin) or not _is_http(url or admin, "https"):
        raise InvalidRequest(f"--attach is written NAME=http://HOST:PORT (its admin API), not {word!r}")
    if name not in (*TIERS, APP) and not name.startswith("app-"):
        raise InvalidRequest(f"--attach: the names of a chain are cdn, lb, app and app-1, app-2, …, not {name!r}")
    if name == APP and url:
        raise InvalidRequest("--attach app=… means every instance of that name, so none has a URL of its own there")
    return NodeAddress(name, name if name in TIERS else "app", url, admin)


def _is_http(url: str, *schemes: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", *schemes) and bool(parts.hostname)


async def located(nodes: Sequence[NodeAddress], token: str) -> list[NodeAddress]:
    """The same nodes, each with the URL of its traffic port; `app` becomes the instances that its name leads to.

    Raises:
        EnvironmentProblem: a name leads nowhere, a node does not answer, refuses the token, or does not say on which
            port it listens.
    """
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        expanded = [each for node in nodes for each in (await _everywhere(node) if node.name == APP else [node])]
        found = await together([_located(node, session) for node in expanded])
    hops = [node for node in found if node.tier != APP]
    return hops + sorted((node for node in found if node.tier == APP), key=lambda node: (len(node.name), node.name))


async def _everywhere(node: NodeAddress) -> list[NodeAddress]:
    """An instance, whose name it will say itself, for each address of the host."""
    parts = urlsplit(node.admin)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EnvironmentProblem(f"--attach {node.name}: {parts.hostname} cannot be looked up ({error})") from None
    addresses = dict.fromkeys(str(info[4][0]) for info in found)
    return [replace(node, admin=f"http://{_authority(address, parts.port)}") for address in addresses]


def _authority(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _located(node: NodeAddress, session: aiohttp.ClientSession) -> NodeAddress:
    told = await _ask(node, session, "/state" if node.tier == "app" else "/config")
    if node.name == APP:
        node = replace(node, name=str(told.get("name")))
        if not node.name.startswith("app-"):
            raise EnvironmentProblem(
                f"the instance at {node.admin} calls itself {node.name}; start it with --name app-1"
            )
    listen = told.get("listen")
    port = listen.get("port") if isinstance(listen, dict) else str(listen).rpartition(":")[2]
    if node.url:
        return node
    if not int(port or 0):
        raise EnvironmentProblem(
            f"{node.name} chose its port itself, so say it: --attach {node.name}={node.admin},http://HOST:PORT"
        )
    host = urlsplit(node.admin).hostname or ""
    return replace(node, url=f"{scheme_of(told)}://{_authority(host, port)}")


async def _ask(node: NodeAddress, session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    try:
        async with await _reached(session, node.admin + path) as response:
            if response.status in {401, 403}:
                raise EnvironmentProblem(f"{node.name} at {node.admin} refuses us ({response.status}); another token?")
            told = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        words = str(error) or type(error).__name__
        raise EnvironmentProblem(f"{node.name}: no admin API of badgateway answers at {node.admin} ({words})") from None
    if not isinstance(told, dict) or "listen" not in told:
        raise EnvironmentProblem(f"{node.name}: what answers at {node.admin} is not what its name says")
    return told


async def _reached(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    """The response, as soon as somebody listens: a container that was just added has its name before it does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE
    while True:
        try:
            return await session.get(url)
        except aiohttp.ClientConnectorDNSError:
            raise
        except aiohttp.ClientConnectorError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(POLL)
