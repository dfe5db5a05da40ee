from __future__ import annotations

import asyncio
import io
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from badgateway_proxy.admin.api import LARGEST_BODY, make_admin_app
from badgateway_proxy.cache.body import Body
from badgateway_proxy.cache.cache import Cache
from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.clock import Clock
from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.configuration.config import HopConfig, load_config
from badgateway_proxy.policies.breaker import Breaker, State
from badgateway_proxy.policies.caching.freshness import Freshness
from badgateway_proxy.records import Event, ExchangeRecord, Recorder

Client = TestClient[web.Request, web.Application]


class StandIn:
    """A hop without its data path: what the admin API is told to do, it remembers."""

    def __init__(self, **admin: Any) -> None:
        self.config = load_config({"name": "lb", "upstreams": ["127.0.0.1:9001"], "admin": {"token": "t"} | admin})
        self.recorder = Recorder(self.config.records)
        self.clock = Clock(lambda: 1000.0)
        self.breaker = Breaker(self.config.breaker)
        self.cache: Cache | None = None
        self.resets = 0

    def state(self) -> dict[str, Any]:
        return {"in_flight": 0, "resets": self.resets}

    def apply_config(self, config: HopConfig) -> None:
        self.config = config

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def hop() -> StandIn:
    return StandIn()


@pytest.fixture
async def client(hop: StandIn) -> AsyncIterator[Client]:
    server = TestServer(make_admin_app(hop, heartbeat=0.02))
    async with TestClient(server, headers={"Authorization": "Bearer t"}) as made:
        yield made


async def answer(response: ClientResponse) -> tuple[int, Any]:
    return response.status, await response.json()


def record(request_id: str = "r") -> ExchangeRecord:
    return ExchangeRecord("lb", "lb", request_id, 0.0, "127.0.0.1:1", "GET", "/")


async def test_is_healthy(client: Client) -> None:
    assert await answer(await client.get("/healthz")) == (200, {"status": "ok"})


async def test_shows_the_configuration_without_the_token(client: Client) -> None:
    status, config = await answer(await client.get("/config"))
    assert (status, config["name"]) == (200, "lb")
    assert "token" not in config["admin"]


async def test_changes_the_configuration_while_it_runs(client: Client, hop: StandIn) -> None:
    response = await client.patch("/config", json={"timeouts": {"first_byte": "250ms"}})
    status, config = await answer(response)
    assert (status, config["timeouts"]["first_byte"]) == (200, "250ms")
    assert hop.config.timeouts.first_byte == 0.25
    assert hop.config.admin.token == "t"


@pytest.mark.parametrize(
    ("patch", "status", "complaint"),
    [
        ({"name": "x"}, 409, "name: needs a restart to change"),
        ({"timeouts": {"first_bite": "1s"}}, 400, "timeouts.first_bite: unknown setting; did you mean first_byte?"),
        ({"timeouts": {"connect": 1, "send": 2}}, 400, "timeouts.send: a duration needs a unit"),
        (
            {"balancing": {"drain": ["127.0.0.1:9002"]}},
            400,
            "balancing.drain[0]: 127.0.0.1:9002 is not among upstreams; did you mean 127.0.0.1:9001?",
        ),
        ({"balancing": {"weights": {"10.1.1.1:80": 2}}}, 400, "balancing.weights: 10.1.1.1:80 is not among upstreams"),
        ([], 400, "a merge patch is a JSON object"),
    ],
)
async def test_refuses_a_wrong_patch_whole(
    client: Client, hop: StandIn, patch: object, status: int, complaint: str
) -> None:
    before = hop.config
    got, content = await answer(await client.patch("/config", json=patch))
    assert got == status
    assert complaint in content["error"]
    assert content["problems"]
    assert hop.config is before


@pytest.mark.parametrize(("method", "path"), [("PATCH", "/config"), ("POST", "/breaker"), ("POST", "/clock")])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
async def test_refuses_what_is_no_json(client: Client, method: str, path: str, body: bytes) -> None:
    status, content = await answer(await client.request(method, path, data=body))
    assert status == 400
    assert "the body must be JSON" in content["error"]


async def test_refuses_a_body_that_is_too_large(client: Client) -> None:
    response = await client.patch("/config", data=io.BytesIO(b" " * (LARGEST_BODY + 1)))
    assert response.status == 413


async def test_shows_the_state(client: Client) -> None:
    assert await answer(await client.get("/state")) == (200, {"in_flight": 0, "resets": 0})


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("force_open", State.FORCED_OPEN),
        ("force_closed", State.CLOSED),
        ("disable", State.DISABLED),
        ("reset", State.CLOSED),
    ],
)
async def test_orders_the_breaker(client: Client, hop: StandIn, action: str, state: State) -> None:
    status, content = await answer(await client.post("/breaker", json={"action": action}))
    assert (status, content["state"]) == (200, state.value)
    assert hop.breaker.state(1000.0) is state


@pytest.mark.parametrize(
    "body", [{"action": "explode"}, {"action": ["reset"]}, {}, {"action": "reset", "x": 1}, "reset"]
)
async def test_refuses_other_orders(client: Client, body: object) -> None:
    status, content = await answer(await client.post("/breaker", json=body))
    assert status == 400
    assert "action" in content["error"]


@pytest.fixture
def stored(hop: StandIn) -> Cache:
    """A cache with four responses, of which two bear the tag shop."""
    hop.cache = Cache(CacheSettings(), b"1.1 cdn")
    for host, target, tags in (("a", "/1", [b"shop"]), ("b", "/1", []), ("a", "/2?x", [b"shop"]), ("a", "/", [])):
        fresh = Freshness(born=0.0, lifetime=60.0)
        hop.cache.store.add(
            Stored((host, target), (), 200, b"HTTP/1.1 200 OK", [], fresh, Body(complete=True), 0, frozenset(tags))
        )
    return hop.cache


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"url": "/1"}, 2),
        ({"url": "http://A/1"}, 1),
        ({"url": "https://a/2?x"}, 1),
        ({"url": "http://a"}, 1),
        ({"url": "/2"}, 0),
        ({"tag": "shop"}, 2),
        ({"tag": "shopping"}, 0),
        ({"all": True}, 4),
    ],
)
async def test_purges_the_cache(client: Client, stored: Cache, body: object, count: int) -> None:
    assert await answer(await client.post("/cache/purge", json=body)) == (200, {"purged": count})
    assert len(stored.store) == 4 - count


@pytest.mark.parametrize(
    "body", [{}, {"all": False}, {"url": "1"}, {"url": 1}, {"tag": ["shop"]}, {"tag": "a", "url": "/"}, [], "all"]
)
async def test_refuses_other_purges(client: Client, stored: Cache, body: object) -> None:
    status, content = await answer(await client.post("/cache/purge", json=body))
    assert status == 400
    assert '{"all": true}' in content["error"]
    assert len(stored.store) == 4


async def test_without_a_cache_there_is_nothing_to_purge(client: Client) -> None:
    status, content = await answer(await client.post("/cache/purge", json={"all": True}))
    assert (status, content["error"]) == (409, "this hop has no cache: set cache.enabled")


async def test_resets(client: Client) -> None:
    assert await answer(await client.post("/reset")) == (200, {"in_flight": 0, "resets": 1})


async def test_advances_the_clock(client: Client, hop: StandIn) -> None:
    assert await answer(await client.post("/clock", json={"advance": "30s"})) == (200, {"offset": 30.0})
    assert await answer(await client.post("/clock", json={"advance": "500ms"})) == (200, {"offset": 30.5})
    assert hop.clock.now() == 1030.5


@pytest.mark.parametrize("body", [{"advance": 30}, {"advance": "-30s"}, {"advance": None}, {}, {"to": "30s"}])
async def test_refuses_other_advances(client: Client, hop: StandIn, body: object) -> None:
    status, content = await answer(await client.post("/clock", json=body))
    assert status == 400
    assert "advance" in content["error"]
    assert hop.clock.offset == 0.0


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2, 3, 4]),
        ("?limit=2", [3, 4]),
        ("?after=1&limit=2", [2, 3]),
        ("?request_id=a", [1, 3]),
        ("?request_id=a&after=1", [3]),
        ("?after=4", []),
    ],
)
async def test_finds_exchanges(client: Client, hop: StandIn, query: str, ids: list[int]) -> None:
    for request_id in "abab":
        hop.recorder.add(record(request_id))
    status, content = await answer(await client.get(f"/exchanges{query}"))
    assert (status, [each["id"] for each in content]) == (200, ids)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "after=x", "after=1.5", "limit=²", "id=3", "sessions=a"]
)
async def test_refuses_other_questions(client: Client, query: str) -> None:
    response = await client.get(f"/exchanges?{query}")
    assert response.status == 400
    assert query.partition("=")[0] in (await response.json())["error"]


async def line(response: ClientResponse, wanted: Callable[[str], bool]) -> str:
    """The next line of a stream that is wanted; others are skipped."""
    async with asyncio.timeout(5):
        while True:
            text = (await response.content.readline()).decode()
            assert text, "the stream ended"
            if wanted(text):
                return text


async def test_tells_events_as_they_happen(client: Client, hop: StandIn) -> None:
    async with client.get("/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        await line(response, lambda text: text == ": subscribed\n")
        hop.recorder.add(record("r-7"))
        await line(response, lambda text: text == "event: exchange\n")
        data = await line(response, lambda text: text.startswith("data: "))
        assert json.loads(data[6:])["request_id"] == "r-7"
        hop.recorder.publish(Event("breaker", {"to": "open"}))
        await line(response, lambda text: text == "event: breaker\n")
        assert json.loads((await line(response, lambda text: text.startswith("data: ")))[6:]) == {"to": "open"}
        await line(response, lambda text: text == ": heartbeat\n")


async def test_tells_what_a_slow_listener_missed(client: Client, hop: StandIn) -> None:
    async with client.get("/events") as response:
        await line(response, lambda text: text == ": subscribed\n")
        for _ in range(1005):
            hop.recorder.add(record())
        await line(response, lambda text: text == "event: dropped\n")
        assert json.loads((await line(response, lambda text: text.startswith("data: ")))[6:])["dropped"] > 0


async def test_forgets_a_listener_that_left(client: Client, hop: StandIn) -> None:
    async with client.get("/events") as response:
        await line(response, lambda text: text == ": subscribed\n")
        assert hop.recorder.listeners == 1
    deadline = time.monotonic() + 5
    while hop.recorder.listeners:
        assert time.monotonic() < deadline, "the listener is still there"
        await asyncio.sleep(0.005)


async def test_a_listener_does_not_keep_it_from_stopping(hop: StandIn) -> None:
    server = TestServer(make_admin_app(hop))
    async with TestClient(server, headers={"Authorization": "Bearer t"}) as client:
        response = await client.get("/events")
        await line(response, lambda text: text == ": subscribed\n")
        async with asyncio.timeout(5):
            await server.close()
            assert await response.content.read() == b"\n"


def test_a_token_that_nobody_knows_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BADGATEWAY_TOKEN", raising=False)
    make_admin_app(StandIn(token=None))
    assert re.fullmatch(r"admin token: \S{32}\n", capsys.readouterr().err)


def test_a_token_that_somebody_knows_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BADGATEWAY_TOKEN", raising=False)
    make_admin_app(StandIn())
    make_admin_app(StandIn(token=None, token_file=os.fspath(tmp_path / "token")))
    assert capsys.readouterr().err == ""
