"""The control API, and who may use it."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from badgateway_upstream import FAULTS
from tests.support.instance import TOKEN, HereInstance, here


class Api:
    def __init__(self, app: HereInstance, session: aiohttp.ClientSession) -> None:
        self.app = app
        self._session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **more: Any
    ) -> tuple[int, Any]:
        headers = {**more.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = f"http://{self.app.instance.admin}{path}"
        async with self._session.request(method, url, json=body, headers=headers, **more) as response:
            return response.status, None if response.status == 204 else await response.json()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with here() as app, aiohttp.ClientSession() as session:
        yield Api(app, session)


async def test_setting_and_clearing_faults(api: Api) -> None:
    status, state = await api("POST", "/faults", {"kind": "latency", "latency": "20ms", "for": "10s", "id": "mine"})
    assert status == 201
    assert 9 < state.pop("expires_in") <= 10
    assert state.pop("set_at") > 0
    assert state == {
        "kind": "latency",
        "latency": "20ms",
        "jitter": "0s",
        "for": "10s",
        "id": "mine",
        "when": {},
        "fired": 0,
        "matched": 0,
    }
    assert (await api("POST", "/faults", {"kind": "hang", "id": "mine"}))[0] == 409
    assert [fault["id"] for fault in (await api("GET", "/faults"))[1]] == ["mine"]
    assert (await api("GET", "/faults/mine"))[0] == 200
    assert (await api("DELETE", "/faults/mine"))[0] == 204
    assert (await api("DELETE", "/faults/mine"))[0] == 404
    assert (await api("GET", "/faults/mine"))[0] == 404
    await api("POST", "/faults", {"kind": "hang"})
    assert (await api("DELETE", "/faults"))[0] == 204
    assert (await api("GET", "/faults"))[1] == []


async def test_firings_and_requests(api: Api) -> None:
    await api("POST", "/faults", {"kind": "garbage", "id": "g"})
    async with api.app.client() as client:
        await client.get("/x", "X-Request-ID: r1")
        await client.all()
    _, (firing,) = await api("GET", "/firings?request_id=r1&fault=g")
    assert (firing["firing"], firing["kind"], firing["request_id"]) == ("g.1", "garbage", "r1")
    assert (await api("GET", "/firings?fault=other"))[1] == []
    _, (request,) = await api("GET", "/requests?request_id=r1")
    assert request["firings"] == ["g.1"]
    assert request["status"] is None
    assert (await api("GET", "/requests?request_id=r2"))[1] == []
    _, state = await api("GET", "/state")
    assert (state["requests"], state["accepted"], state["name"]) == (1, 1, "app-1")


async def test_the_clock_ends_faults(api: Api) -> None:
    await api("POST", "/faults", {"kind": "hang", "for": "30s"})
    assert await api("POST", "/clock", {"advance": "31s"}) == (200, {"offset": 31.0})
    assert (await api("GET", "/faults"))[1] == []
    mistakes: list[object] = [{"advance": 3}, {}, {"advance": "1s", "more": 1}, [], "1s"]
    for wrong in mistakes:
        assert (await api("POST", "/clock", wrong))[0] == 400


async def test_reset(api: Api) -> None:
    await api("POST", "/faults", {"kind": "latency", "latency": "0s"})
    async with api.app.client() as client:
        await client.get()
        await client.answer()
    await api("POST", "/clock", {"advance": "1s"})
    assert (await api("POST", "/reset"))[0] == 200
    _, state = await api("GET", "/state")
    assert (state["faults"], state["requests"], state["clock_offset"]) == (0, 0, 0)
    assert (await api("GET", "/requests"))[1] == []
    assert (await api("GET", "/firings"))[1] == []


async def ordered(api: Api) -> str:
    """Order something; where it is."""
    body = b'{"product_id": 1}'
    async with api.app.client() as client:
        await client.send(b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        head = (await client.until(b"\r\n\r\n")).decode()
    return next(line.partition(": ")[2] for line in head.splitlines() if line.startswith("Location: "))


async def test_reset_empties_the_shop_also_while_it_is_asked(api: Api) -> None:
    assert [await ordered(api) for _ in range(2)] == ["/orders/1", "/orders/2"]
    assert (await api("POST", "/faults", {"kind": "broken_database", "how": "read_only"}))[0] == 201
    assert (await api("POST", "/reset"))[0] == 200
    assert await ordered(api) == "/orders/1"
    answers = await asyncio.gather(*(ordered(api) for _ in range(10)), *(api("POST", "/reset") for _ in range(5)))
    assert answers[10:] == [(200, {"status": "ok"})] * 5
    await api("POST", "/reset")
    assert await ordered(api) == "/orders/1"


async def test_reset_is_refused_while_the_database_cannot_be_written(tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite3"
    database.touch()
    async with here(database=str(database), lock_timeout="50ms") as app, aiohttp.ClientSession() as session:
        api = Api(app, session)
        await ordered(api)
        with closing(sqlite3.connect(database)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            status, answer = await api("POST", "/reset")
            assert (status, answer["error"]) == (
                503,
                "the shop's database cannot be put back to its first state: database is locked",
            )
            somebody.rollback()
        assert (await api("POST", "/reset"))[0] == 200
        assert await ordered(api) == "/orders/1"


async def test_fault_types_describe_themselves(api: Api) -> None:
    _, kinds = await api("GET", "/fault-types")
    latency = next(kind for kind in kinds if kind["name"] == "latency")
    assert latency["category"] == "flow"
    assert latency["schema"]["properties"]["jitter"]["type"] == "string"
    assert len(kinds) == len(FAULTS)


async def test_wrong_faults_say_everything_at_once(api: Api) -> None:
    status, answer = await api("POST", "/faults", {"kind": "latency", "latncy": "1s", "for": 3})
    assert status == 400
    assert len(answer["problems"]) == 2
    assert (await api("POST", "/faults", {"kind": "hang", "for": "11m"}))[0] == 400
    assert (await api("POST", "/faults", [1]))[0] == 400
    assert (await api("GET", "/nowhere"))[0] == 404
    assert (await api("PUT", "/faults"))[0] == 405
    for limit in ("x", "0", "-1", "9" * 30):
        assert (await api("GET", f"/requests?limit={limit}"))[0] == 400


async def test_a_body_too_large(api: Api) -> None:
    url = f"http://{api.app.instance.admin}/faults"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = io.BytesIO(b" " * 1_100_000)
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        assert response.status == 413
        assert "1048576 bytes" in (await response.json())["error"]


async def test_bodies_that_are_no_json(api: Api) -> None:
    url = f"http://{api.app.instance.admin}/faults"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        for body in (b"", b"{", b"[" * 100_000, b"\xff"):
            async with session.post(url, data=body, headers=headers) as response:
                assert response.status == 400


async def test_who_may(api: Api) -> None:
    port = api.app.instance.admin.rpartition(":")[2]
    assert await api("GET", "/healthz", token=None) == (200, {"status": "ok"})
    assert (await api("GET", "/state", token=None))[0] == 401
    assert (await api("GET", "/state", token="wrong"))[0] == 401
    assert (await api("GET", "/state", token="ü"))[0] == 401
    assert (await api("GET", "/state", headers={"Host": "evil.example"}))[0] == 403
    assert (await api("GET", "/healthz", token=None, headers={"Host": "evil.example"}))[0] == 403
    for host in (f"localhost:{port}", "127.0.0.1", "[::1]:80", "10.1.2.3"):
        assert (await api("GET", "/state", headers={"Host": host}))[0] == 200
    assert (await api("GET", "/state", headers={"Origin": "http://evil.example"}))[0] == 403
    assert (await api("GET", "/state", headers={"Origin": "null"}))[0] == 403
    assert (await api("GET", "/state", headers={"Origin": f"http://127.0.0.1:{port}"}))[0] == 200


async def test_allowed_hosts() -> None:
    admin = {"token": TOKEN, "allowed_hosts": ["app-1"]}
    async with here(admin=admin) as app, aiohttp.ClientSession() as session:
        api = Api(app, session)
        assert (await api("GET", "/state", headers={"Host": "app-1:9101"}))[0] == 200
        assert (await api("GET", "/state", headers={"Host": "app-2:9101"}))[0] == 403
