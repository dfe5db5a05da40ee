"""Connections to endpoints: kept and reused, dropped when they may not be, and why one did not come about."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.policies.balancer import Endpoint, parse_endpoint
from badgateway_proxy.transport.pool import Pool, PoolLimits, _connect_error
from badgateway_proxy.transport.response_reader import ResponseLimits
from badgateway_proxy.transport.upstream_connection import UpstreamConnection
from tests.support.peers import OK, full_backlog, healthy, refused_address, says
from tests.support.processes import until
from tests.support.wire import RawUpstream, raw_upstream, running_hop

RESPONSE = ResponseLimits(head=65536, header=16384, headers=256, interim=100, first_bytes=256)


@asynccontextmanager
async def pool_of(idle: int = 64, idle_for: float = 30, allow_public: bool = False) -> AsyncIterator[Pool]:
    pool = Pool(asyncio.get_running_loop(), PoolLimits(idle, idle_for, allow_public), RESPONSE)
    try:
        yield pool
    finally:
        pool.close()
        await until(lambda: not pool.open, what="no connection left")


def now() -> float:
    return asyncio.get_running_loop().time()


async def opened(pool: Pool, endpoint: Endpoint, within: float = 5) -> UpstreamConnection:
    return await pool.connect(endpoint, now() + within)


async def use(pool: Pool, endpoint: Endpoint, request: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") -> bytes:
    """One exchange; returns its body."""
    connection = pool.idle_connection(endpoint, now()) or await opened(pool, endpoint)
    connection.send_head(request, "GET")
    async with asyncio.timeout(5):
        while connection.next_head() is None:
            await connection.changed
        body = b""
        while data := await connection.read():
            body += data
    pool.give_back(connection, endpoint, now())
    return body


# -- keeping -------------------------------------------------------------------------------------------


async def test_a_connection_serves_one_exchange_after_the_other() -> None:
    async with raw_upstream(healthy) as upstream, pool_of() as pool:
        endpoint = parse_endpoint(upstream.address)
        for _ in range(3):
            assert await use(pool, endpoint) == b"ok"
        assert (upstream.connections, pool.open, pool.counts(endpoint)) == (1, 1, 1)


NOT_KEPT: list[tuple[str, bytes]] = [
    ("Connection: close", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("surplus bytes", OK + b"x"),
]


@pytest.mark.parametrize("answer", [case[1] for case in NOT_KEPT], ids=[case[0] for case in NOT_KEPT])
async def test_a_connection_that_may_not_be_used_again_is_closed(answer: bytes) -> None:
    async with raw_upstream(says(answer, then="hang")) as upstream, pool_of() as pool:
        endpoint = parse_endpoint(upstream.address)
        assert await use(pool, endpoint) == b"ok"
        assert pool.counts(endpoint) == 0
        await until(lambda: not pool.open)


async def test_http_1_0_may_ask_to_keep_the_connection() -> None:
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    async with raw_upstream(says(kept, then="again")) as upstream, pool_of() as pool:
        endpoint = parse_endpoint(upstream.address)
        for _ in range(2):
            assert await use(pool, endpoint) == b"ok"
        assert upstream.connections == 1


async def test_no_more_are_kept_than_wanted_and_the_one_used_last_comes_first() -> None:
    async with raw_upstream(healthy) as upstream, pool_of(idle=2) as pool:
        endpoint = parse_endpoint(upstream.address)
        connections = [await opened(pool, endpoint) for _ in range(3)]
        for connection in connections:
            connection.send_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
        await until(lambda: all(connection.complete for connection in connections))
        for connection in connections:
            pool.give_back(connection, endpoint, now())
        assert pool.counts(endpoint) == 2
        await until(lambda: pool.open == 2)
        assert pool.idle_connection(endpoint, now()) is connections[1]
        assert pool.idle_connection(endpoint, now()) is connections[0]
        assert pool.idle_connection(endpoint, now()) is None


async def test_none_is_kept_where_none_is_wanted() -> None:
    async with raw_upstream(healthy) as upstream, pool_of(idle=0) as pool:
        endpoint = parse_endpoint(upstream.address)
        for _ in range(2):
            assert await use(pool, endpoint) == b"ok"
        assert upstream.connections == 2


async def test_one_idle_for_too_long_is_closed_though_nobody_asks_for_it() -> None:
    async with raw_upstream(healthy) as upstream, pool_of(idle_for=0.05) as pool:
        endpoint = parse_endpoint(upstream.address)
        await use(pool, endpoint)
        assert pool.open == 1
        await until(lambda: not pool.open)
        await use(pool, endpoint)
        assert upstream.connections == 2
        assert pool.idle_connection(endpoint, now() + 1) is None


async def test_one_that_the_peer_closed_is_not_used() -> None:
    async with raw_upstream(says(OK)) as upstream, pool_of() as pool:
        endpoint = parse_endpoint(upstream.address)
        assert await use(pool, endpoint) == b"ok"
        await until(lambda: not pool.open)
        assert pool.counts(endpoint) == 0
        assert await use(pool, endpoint) == b"ok"
        assert upstream.connections == 2


async def test_one_on_which_a_peer_spoke_unasked_is_not_used() -> None:
    go = asyncio.Event()

    async def script(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(OK)
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
        await reader.read()

    async with raw_upstream(script) as upstream, pool_of() as pool:
        endpoint = parse_endpoint(upstream.address)
        assert await use(pool, endpoint) == b"ok"
        go.set()
        await until(lambda: not pool.open)
        assert await use(pool, endpoint) == b"ok"
        assert upstream.connections == 2


async def test_other_limits_leave_no_connection_of_the_old_ones() -> None:
    async with raw_upstream(healthy) as upstream, pool_of() as pool:
        endpoint = parse_endpoint(upstream.address)
        await use(pool, endpoint)
        busy = await opened(pool, endpoint)
        busy.send_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
        await until(lambda: busy.complete)
        changed = ResponseLimits(head=1000, header=1000, headers=10, interim=1, first_bytes=0)
        pool.configure(PoolLimits(64, 30, allow_public=False), changed)
        assert pool.counts(endpoint) == 0
        pool.give_back(busy, endpoint, now())
        assert pool.counts(endpoint) == 0
        await until(lambda: not pool.open)


async def test_the_same_limits_change_nothing() -> None:
    async with raw_upstream(healthy) as upstream, pool_of() as pool:
        endpoint = parse_endpoint(upstream.address)
        await use(pool, endpoint)
        same = ResponseLimits(head=65536, header=16384, headers=256, interim=100, first_bytes=256)
        pool.configure(PoolLimits(64, 30, allow_public=False), same)
        await use(pool, endpoint)
        assert upstream.connections == 1


# -- connecting ----------------------------------------------------------------------------------------


async def refused(pool: Pool, address: str, within: float = 5) -> HopError:
    with pytest.raises(HopError) as caught:
        await opened(pool, parse_endpoint(address), within)
    assert caught.value.phase is Phase.CONNECT
    return caught.value


async def test_nobody_listens() -> None:
    with refused_address() as address:
        async with pool_of() as pool:
            error = await refused(pool, address)
            assert error.error is ErrorType.CONNECTION_REFUSED
            assert address in error.details
            assert pool.open == 0


async def test_nobody_answers_in_time() -> None:
    async with full_backlog() as address, pool_of() as pool:
        started = now()
        error = await refused(pool, address, within=0.05)
        assert error.error is ErrorType.CONNECTION_TIMEOUT
        assert 0.045 <= now() - started < 2
        assert pool.open == 0


async def test_a_public_address_is_prohibited_unless_allowed() -> None:
    async with pool_of() as pool:
        error = await refused(pool, "8.8.8.8:80")
        assert error.error is ErrorType.DESTINATION_IP_PROHIBITED
        assert "8.8.8.8" in error.details


@pytest.mark.parametrize("name", ["nothing.invalid", "a" * 64 + ".invalid"])
async def test_a_name_that_does_not_resolve(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    async with pool_of() as pool:
        error = await refused(pool, f"{name}:80")
        assert error.error is ErrorType.DNS_ERROR
        assert error.details == f"{name}: Name or service not known"


async def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object, **__: object) -> object:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    async with pool_of() as pool:
        error = await refused(pool, "slow.example:80", within=0.05)
        assert error.error is ErrorType.DNS_TIMEOUT


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> None:
    """Let the loop find these addresses for a name, and go on finding everything else."""
    loop = asyncio.get_running_loop()
    genuine = loop.getaddrinfo

    async def found(host: str, port: int, **options: Any) -> Any:
        if host != name:
            return await genuine(host, port, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(loop, "getaddrinfo", found)


@pytest.mark.parametrize("dead", [["127.0.0.77"], ["127.0.0.77", "127.0.0.78"], []])
@pytest.mark.parametrize("last", [True, False])
async def test_every_address_of_a_name_is_tried(dead: list[str], last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost is often ::1 first, and the service listens on 127.0.0.1 only."""
    async with raw_upstream(healthy) as upstream, pool_of() as pool:
        resolve(monkeypatch, "localhost", *([*dead, "127.0.0.1"] if last else ["127.0.0.1", *dead]))
        connection = await opened(pool, parse_endpoint(f"localhost:{upstream.port}"))
        assert connection.local.startswith("127.0.0.1:")


async def test_addresses_that_are_prohibited_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_upstream(healthy) as upstream, pool_of() as pool:
        resolve(monkeypatch, "rebound.example", "8.8.8.8", "127.0.0.1")
        connection = await opened(pool, parse_endpoint(f"rebound.example:{upstream.port}"))
        assert connection.local.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ECONNREFUSED, ErrorType.CONNECTION_REFUSED),
        (errno.ENETUNREACH, ErrorType.DESTINATION_IP_UNROUTABLE),
        (errno.EHOSTUNREACH, ErrorType.DESTINATION_IP_UNROUTABLE),
        (errno.EACCES, ErrorType.DESTINATION_IP_UNROUTABLE),
        (errno.EMFILE, ErrorType.PROXY_INTERNAL_ERROR),
        (errno.EADDRNOTAVAIL, ErrorType.PROXY_INTERNAL_ERROR),
        (errno.ETIMEDOUT, ErrorType.CONNECTION_TIMEOUT),
        (errno.ECONNRESET, ErrorType.CONNECTION_TERMINATED),
    ],
)
def test_each_reason_has_its_type(number: int, error: ErrorType) -> None:
    found = _connect_error(parse_endpoint("127.0.0.1:1"), OSError(number, "why"))
    assert (found.error, found.phase) == (error, Phase.CONNECT)
    assert found.details


async def test_a_connection_given_up_on_leaves_nothing_behind() -> None:
    async with full_backlog() as address, pool_of() as pool:
        connecting = asyncio.create_task(opened(pool, parse_endpoint(address)))
        await asyncio.sleep(0.01)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert pool.open == 0


# -- through a hop -------------------------------------------------------------------------------------


async def test_the_keep_alive_race_is_reported_as_what_it_is() -> None:
    """The peer closes as the second request arrives. Nobody resends by default; the record shows why it failed."""

    async def races(upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read_head(reader)
        writer.write(OK)
        await upstream.read_head(reader)

    async with raw_upstream(races) as upstream, running_hop(upstream.address) as hop, hop.client() as client:
        await client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await client.answer() == b"ok"
        await client.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.answer()
        first, second = await hop.records(2)
        assert (first["status"], second["status"], second["error"]) == (200, 502, "connection_terminated")
        assert "on a reused connection" in second["details"]
        assert second["attempts"][0]["reused"]
        assert second["attempts"][0]["local"] == first["attempts"][0]["local"]
        # The client's own connection is none the worse for it.
        await client.send(b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await client.answer() == b"ok"
        assert upstream.connections == 2
