import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any, cast

import aiohttp
import pytest

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.events import EventBus
from badgateway.chain.lab import Lab
from badgateway.control.server import ControlServer
from tests.support.tracerecords import CHAIN, healthy

TOKEN = "a-token"


class Fault:
    def __init__(self, id_: str, target: str, spec: Mapping[str, Any]) -> None:
        self.id, self.target, self.spec = id_, target, spec
        self.when = spec.get("when") or {}

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "target": self.target, **self.spec}


class StandIn:
    """The part of a lab that the control API uses; it notes what was asked of it."""

    hops = ["cdn", "lb"]  # noqa: RUF012  (a stand-in's constant)
    instances = ["app-1", "app-2"]  # noqa: RUF012  (the same)

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.set: list[Fault] = []
        self.over: list[Fault] = []
        self.bus = EventBus(lambda: None, lambda: None)
        self.failing: Exception | None = None

    async def describe(self) -> dict[str, Any]:
        if self.failing is not None:
            raise self.failing
        return {"url": "http://127.0.0.1:8080", "nodes": CHAIN}

    async def faults(self, *, ended: bool = False) -> list[Fault]:
        return [*self.over, *self.set] if ended else self.set

    async def set_fault(self, target: str, spec: Mapping[str, Any]) -> Fault:
        if spec.get("kind") == "hangg":
            raise InvalidRequest("unknown fault 'hangg'; did you mean 'hang'?")
        self.set.append(Fault(f"f-{len(self.set) + 1}", target, spec))
        return self.set[-1]

    async def clear_fault(self, id: str) -> None:
        self.over += [fault for fault in self.set if fault.id == id]
        self.set = [fault for fault in self.set if fault.id != id]

    async def clear_faults(self) -> None:
        self.set = []

    async def config(self, hop: str) -> dict[str, Any]:
        return {"name": hop}

    async def patch(self, hop: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(("patch", hop, patch))
        return {"name": hop, **patch}

    async def breaker(self, hop: str, action: str) -> dict[str, Any]:
        self.asked.append(("breaker", hop, action))
        return {"state": action}

    async def purge(self, hop: str, what: dict[str, Any]) -> int:
        self.asked.append(("purge", hop, what))
        return 3

    async def restart(self, target: str) -> list[str]:
        self.asked.append(("restart", target))
        return ["f-1, hang at app-1, is over"]

    async def stop(self, target: str) -> None:
        self.asked.append(("stop", target))

    async def advance(self, seconds: float) -> None:
        self.asked.append(("advance", seconds))

    async def reset(self) -> None:
        self.asked.append(("reset",))

    async def exchanges(
        self, *, request_id: str | None = None, session: str | None = None, limit: int = 100, settled: bool = False
    ) -> list[Any]:
        self.asked.append(("exchanges", request_id, session, limit, settled))
        return [healthy()]

    def events(self) -> Any:
        return self.bus.subscribe()


class Api:
    """A client of one control server."""

    def __init__(self, server: ControlServer, lab: StandIn, session: aiohttp.ClientSession) -> None:
        self.server, self.url, self.lab, self.session = server, server.url, lab, session

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        data = io.BytesIO(body) if isinstance(body, bytes) else None if body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=given) as response:
            return response.status, json.loads(await response.text())


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Api]:
    lab = StandIn()
    server = ControlServer(cast(Lab, lab), token=TOKEN, port=0, **options)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Api(server, lab, session)
    finally:
        await server.close()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api


async def test_the_page_and_healthz_need_no_token_and_everything_else_does(api: Api) -> None:
    async with api.session.get(api.url) as response:
        assert response.status == 200
        assert "Authorization: Bearer" in await response.text()
    assert await api.ask("GET", "/healthz", Authorization="") == (200, {"status": "ok"})
    for wrong in ("", "Bearer wrong", f"Basic {TOKEN}", "Bearer"):
        status, told = await api.ask("GET", "/api/chain", Authorization=wrong)
        assert status == 401
        assert "badgateway up" in told["error"]


async def test_every_endpoint_is_listed_with_what_it_does(api: Api) -> None:
    _, listed = await api.ask("GET", "/api")
    assert listed["GET /api/chain"].startswith("The chain")
    assert all(listed.values())
    assert "POST /api/processes/{name}/restart" in listed


async def test_the_chain_is_described(api: Api) -> None:
    assert await api.ask("GET", "/api/chain") == (200, {"url": "http://127.0.0.1:8080", "nodes": CHAIN})


async def test_a_fault_is_set_listed_and_cleared(api: Api) -> None:
    spec = {"kind": "hang", "for": "10s", "when": {"path": "/orders"}}
    status, fault = await api.ask("POST", "/api/faults", {"target": "app", **spec})
    assert (status, fault) == (201, {"id": "f-1", "target": "app", **spec})
    assert await api.ask("GET", "/api/faults") == (200, [fault])
    assert await api.ask("DELETE", "/api/faults/f-1") == (200, {"cleared": 1})
    await api.ask("POST", "/api/faults", {"target": "app", **spec})
    await api.ask("POST", "/api/faults", {"target": "app", **spec})
    assert await api.ask("DELETE", "/api/faults") == (200, {"cleared": 2})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/api/faults", {"target": "app", "kind": "hangg"}, 400, "did you mean 'hang'?"),
        ("POST", "/api/faults", {"kind": "hang"}, 400, '"target" is missing: one of cdn, lb, app, app-1, app-2'),
        ("POST", "/api/faults", b"{", 400, "no JSON"),
        ("POST", "/api/faults", b"[]", 400, "JSON object"),
        ("POST", "/api/faults", b"\xff", 400, "no JSON"),
        ("DELETE", "/api/faults/f-7", None, 404, "f-7"),
        ("PATCH", "/api/hops/lbb", {}, 404, 'did you mean "lb"?'),
        ("PATCH", "/api/hops/app-1", {}, 404, "app-1"),
        ("POST", "/api/hops/lb/breaker", {"action": "open"}, 400, "force_open"),
        ("POST", "/api/clock", {"advance": 30}, 400, "a duration needs a unit"),
        ("POST", "/api/clock", {}, 400, '"advance"'),
        ("POST", "/api/processes/app-9/restart", None, 404, "app-9"),
        ("GET", "/api/exchanges?limit=0", None, 400, "limit"),
        ("GET", "/api/exchanges?limit=x", None, 400, "limit"),
        ("GET", "/api/exchanges?settled=1", None, 400, "settled is true or false"),
        ("GET", "/api/exchanges?limi=5", None, 400, 'did you mean "limit"'),
        ("GET", "/api/chain?x=1", None, 400, "unknown parameter 'x'; it has none"),
        ("GET", "/api/faults?ended=yes", None, 400, "ended is true or false"),
        ("GET", "/api/faults/f-9", None, 404, "f-9"),
        ("GET", "/api/hops/lbb", None, 404, 'did you mean "lb"'),
        ("GET", "/api/nothing", None, 404, "GET /api lists what there is"),
        ("PUT", "/api/faults", None, 405, "it takes DELETE,GET,HEAD,POST"),
    ],
)
async def test_what_cannot_be_is_refused_with_words(
    api: Api, method: str, path: str, body: object, status: int, said: str
) -> None:
    got, told = await api.ask(method, path, body)
    assert got == status, told
    assert said in told["error"]
    assert api.lab.set == []


async def test_a_body_of_more_than_a_mebibyte_is_refused(api: Api) -> None:
    status, told = await api.ask("POST", "/api/faults", b" " * (1024 * 1024 + 1))
    assert (status, told) == (413, {"error": "the body is larger than 1048576 bytes"})


async def test_hops_processes_clock_and_reset_reach_the_lab(api: Api) -> None:
    patch = {"timeouts": {"first_byte": "1s"}}
    assert await api.ask("PATCH", "/api/hops/lb", patch) == (200, {"name": "lb", **patch})
    assert await api.ask("POST", "/api/hops/lb/breaker", {"action": "force_open"}) == (200, {"state": "force_open"})
    assert await api.ask("POST", "/api/hops/cdn/cache/purge", {"tag": "shop"}) == (200, {"purged": 3})
    _, restarted = await api.ask("POST", "/api/processes/app/restart")
    assert restarted["lost"] == ["f-1, hang at app-1, is over"]
    assert "nodes" in restarted
    await api.ask("POST", "/api/processes/lb/stop")
    assert await api.ask("POST", "/api/clock", {"advance": "1m"}) == (200, {"advanced": "1m"})
    await api.ask("POST", "/api/reset")
    assert api.lab.asked == [
        ("patch", "lb", patch),
        ("breaker", "lb", "force_open"),
        ("purge", "cdn", {"tag": "shop"}),
        ("restart", "app"),
        ("stop", "lb"),
        ("advance", 60.0),
        ("reset",),
    ]


async def test_exchanges_come_as_joined_traces(api: Api) -> None:
    status, traces = await api.ask("GET", "/api/exchanges?request_id=r-1&limit=5&settled=true")
    assert (status, traces) == (200, [healthy().to_json()])
    assert api.lab.asked == [("exchanges", "r-1", None, 5, True)]


async def test_events_come_as_they_happen_and_silence_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badgateway.control.server.HEARTBEAT", 0.02)
    async with serving() as api:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with api.session.get(f"{api.url}/api/events", headers=headers) as response:
            assert response.content_type == "text/event-stream"
            assert await response.content.readuntil(b"\n\n") == b": connected\n\n"
            assert await response.content.readuntil(b"\n\n") == b": heartbeat\n\n"
            api.lab.bus.publish("breaker", "lb", {"to": "open"})
            text = b": heartbeat\n\n"
            while text == b": heartbeat\n\n":
                text = await response.content.readuntil(b"\n\n")
            kind, data = text.decode().strip().split("\n")
            assert kind == "event: breaker"
            event = json.loads(data.removeprefix("data: "))
            assert (event["node"], event["data"]) == ("lb", {"to": "open"})


async def test_a_listener_that_leaves_is_forgotten_without_a_word(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("badgateway.control.server.HEARTBEAT", 0.02)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with api.session.get(f"{api.url}/api/events", headers=headers) as response:
        await response.content.readuntil(b"\n\n")
        assert api.lab.bus.subscribers == 1
        response.close()
    async with asyncio.timeout(5):
        while api.lab.bus.subscribers:
            api.lab.bus.publish("breaker", "lb", {"to": "open"})
            await api.ask("GET", "/healthz")
    await api.server.close()
    assert not caplog.records


async def test_closing_ends_open_event_streams(api: Api) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with api.session.get(f"{api.url}/api/events", headers=headers) as response:
        await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(5):
            await api.server.close()


async def test_a_lab_in_trouble_is_503_and_a_bug_is_500_in_one_line(api: Api) -> None:
    api.lab.failing = EnvironmentProblem("lb did not answer")
    assert await api.ask("GET", "/api/chain") == (503, {"error": "lb did not answer"})
    api.lab.failing = KeyError("what")
    assert await api.ask("GET", "/api/chain") == (500, {"error": "unexpected KeyError: 'what'"})


async def test_a_taken_port_is_told_with_its_option() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = ControlServer(cast(Lab, StandIn()), token=TOKEN, port=taken.getsockname()[1])
        with pytest.raises(EnvironmentProblem, match="--control-port"):
            await server.start()
        await server.close()


async def test_a_fault_that_is_over_can_still_be_asked_about(api: Api) -> None:
    _, fault = await api.ask("POST", "/api/faults", {"target": "app", "kind": "hang"})
    await api.ask("DELETE", "/api/faults/f-1")
    assert await api.ask("GET", "/api/faults") == (200, [])
    assert await api.ask("GET", "/api/faults?ended=true") == (200, [fault])
    assert await api.ask("GET", "/api/faults/f-1") == (200, fault)
    status, _ = await api.ask("DELETE", "/api/faults/f-1")
    assert status == 404


async def test_a_reset_is_followed_by_the_preparation() -> None:
    async def prepare(lab: Lab) -> None:
        await lab.set_fault("app", {"kind": "hang"})

    async with serving(prepare=prepare) as api:
        await api.ask("POST", "/api/reset")
        assert api.lab.asked == [("reset",)]
        assert [fault.id for fault in api.lab.set] == ["f-1"]


async def test_sessions_set_and_see_only_their_own_faults(api: Api) -> None:
    alice, bob = {"X-Badgateway-Session": "alice"}, {"baggage": "a=b, badgateway-session=bob"}
    for headers in (alice, bob):
        status, _ = await api.ask("POST", "/api/faults", {"target": "app", "kind": "hang"}, **headers)
        assert status == 201
    _, seen = await api.ask("GET", "/api/faults", **alice)
    assert [(fault["id"], fault["when"]) for fault in seen] == [("f-1", {"session": "alice"})]
    status, _ = await api.ask("DELETE", "/api/faults/f-2", **alice)
    assert status == 404
    assert await api.ask("DELETE", "/api/faults", **alice) == (200, {"cleared": 1})
    _, seen = await api.ask("GET", "/api/faults")
    assert [fault["id"] for fault in seen] == ["f-2"]
    await api.ask("GET", "/api/exchanges", **bob)
    assert api.lab.asked == [("exchanges", None, "bob", 100, False)]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/hops/lb", {}),
        ("POST", "/api/hops/lb/breaker", {"action": "reset"}),
        ("POST", "/api/hops/cdn/cache/purge", {"all": True}),
        ("POST", "/api/processes/lb/restart", None),
        ("POST", "/api/processes/lb/stop", None),
        ("POST", "/api/clock", {"advance": "1s"}),
        ("POST", "/api/reset", None),
        ("POST", "/api/faults", {"target": "app", "kind": "crash"}),
        ("POST", "/api/faults", {"target": "lb", "kind": "freeze"}),
        ("POST", "/api/faults", {"target": "app", "kind": "hang", "when": {"session": "bob"}}),
    ],
)
async def test_a_session_cannot_change_what_all_share(api: Api, method: str, path: str, body: object) -> None:
    status, told = await api.ask(method, path, body, **{"X-Badgateway-Session": "alice"})
    assert status == 409
    assert "lab of your own" in told["error"] or "this is session 'alice'" in told["error"]
    assert not api.lab.asked
    assert not api.lab.set


async def test_events_of_other_sessions_are_not_told(api: Api) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Badgateway-Session": "alice"}
    async with asyncio.timeout(5), api.session.get(f"{api.url}/api/events", headers=headers) as stream:
        await stream.content.readuntil(b"\n\n")
        for session in ("bob", "alice"):
            await api.ask("POST", "/api/faults", {"target": "app", "kind": "hang", "when": {"session": session}})
            api.lab.bus.publish("exchange", "lb", {"session": session})
            api.lab.bus.publish("fault", "app", {"when": {"session": session}})
        for fault in ("f-1", "f-2"):
            api.lab.bus.publish("firing", "app-1", {"fault": fault})
        api.lab.bus.publish("process", "lb", {"state": "exited"})
        told = [await stream.content.readuntil(b"\n\n") for _ in range(4)]
    data = [json.loads(event.partition(b"data: ")[2])["data"] for event in told]
    assert data == [{"session": "alice"}, {"when": {"session": "alice"}}, {"fault": "f-2"}, {"state": "exited"}]
