"""The control API: the running lab over HTTP, JSON under `/api`, for the command line, the console and tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web

from badgateway.chain.events import Event
from badgateway.chain.faultboard import FaultState
from badgateway.chain.lab import Lab
from badgateway.control.guard import MAX_BODY, ApiError, admission, errors_as_json, known_parameters
from badgateway.control.sessions import fault_of, of_all, session_of
from badgateway.inputs.problems import did_you_mean
from badgateway.processes.ports import Reservations
from badgateway.processes.together import together
from badgateway_proxy import format_duration, parse_duration

HEARTBEAT = 15.0
"""Seconds of silence after which the event stream sends a comment: proxies and clients then know that it lives."""
FAREWELL = 0.2
"""Seconds that open requests get when the server closes; an event stream would stay for ever."""
MAX_EXCHANGES = 1000

BREAKER_ACTIONS = ("force_open", "force_closed", "reset", "disable")

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>badgateway</title>
<body style="font: 16px/1.5 system-ui; max-width: 42rem; margin: 3rem auto; padding: 0 1rem">
<h1>badgateway</h1>
<p>This is the control API of a running chain CDN → LB → app. It is spoken by <code>badgateway fault</code> and
<code>badgateway request</code>; a console for the browser comes with a later version.</p>
<p><code>GET /api</code> lists what there is. Everything under <code>/api</code> needs
<code>Authorization: Bearer &lt;token&gt;</code>; the token was printed by <code>badgateway up</code>.</p>
</body></html>
"""

OPEN_PATHS = frozenset(("/", "/healthz"))
"""What needs no token."""
PARAMETERS = {"GET /api/faults": ("ended",), "GET /api/exchanges": ("request_id", "limit", "settled")}
"""Of the query, by endpoint; others have none."""

Body = dict[str, Any]
Prepare = Callable[[Lab], Awaitable[None]]
"""What is done to a lab after it was started, and after each reset."""


class ControlServer:
    """Serves one lab. `start()` binds, `close()` ends every request, event streams too."""

    def __init__(
        self,
        lab: Lab,
        *,
        token: str,
        host: str = "127.0.0.1",
        port: int = 8500,
        allowed_hosts: Collection[str] = (),
        prepare: Prepare | None = None,
    ) -> None:
        """`port` 0 takes any free one. `allowed_hosts`: names besides IP literals and localhost (`*`: any).

        `prepare`: what a reset does once everything is as it was started.
        """
        self._host, self._port = host, port
        api = _Api(lab, prepare)
        self._api = api
        app = web.Application(
            middlewares=[
                errors_as_json(),
                admission(token, allowed_hosts, open_paths=OPEN_PATHS),
                known_parameters(PARAMETERS, open_paths=OPEN_PATHS),
            ],
            client_max_size=MAX_BODY,
        )
        app.add_routes(api.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=FAREWELL)

    @property
    def url(self) -> str:
        """Where it listens, as a client on this machine reaches it."""
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)  # noqa: S104  (not a bind)
        return f"http://{shown}:{self._port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            EnvironmentProblem: the port is in use; the message says whose it is.
        """
        held = Reservations(self._host)
        try:
            self._port = held.take(self._port, option="--control-port")
            await self._runner.setup()
            await web.TCPSite(self._runner, self._host, self._port, reuse_address=True).start()
        finally:
            held.close()

    async def close(self) -> None:
        """Stop listening and end what is open. May be called twice."""
        self._api.closing.set()
        await self._runner.cleanup()


class _Api:
    """The handlers. Each says in its first line what it answers."""

    def __init__(self, lab: Lab, prepare: Prepare | None) -> None:
        self._lab = lab
        self._prepare = prepare
        self.closing = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.page),
            web.get("/healthz", self.healthz),
            web.get("/api", self.index),
            web.get("/api/openapi.json", self.openapi),
            web.get("/api/chain", self.chain),
            web.get("/api/faults", self.faults),
            web.post("/api/faults", self.set_fault),
            web.delete("/api/faults", self.clear_faults),
            web.get("/api/faults/{id}", self.fault),
            web.delete("/api/faults/{id}", self.clear_fault),
            web.get("/api/hops/{name}", self.hop),
            web.patch("/api/hops/{name}", self.patch_hop),
            web.post("/api/hops/{name}/breaker", self.breaker),
            web.post("/api/hops/{name}/cache/purge", self.purge),
            web.get("/api/processes/{name}/state", self.state),
            web.post("/api/processes/{name}/restart", self.restart),
            web.post("/api/processes/{name}/stop", self.stop),
            web.post("/api/clock", self.clock),
            web.post("/api/reset", self.reset),
            web.get("/api/exchanges", self.exchanges),
            web.get("/api/events", self.events),
        ]

    async def page(self, _request: web.Request) -> web.Response:
        """A page that says what this is."""
        return web.Response(text=PAGE, content_type="text/html", charset="utf-8")

    async def healthz(self, _request: web.Request) -> web.Response:
        """That this process is up."""
        return web.json_response({"status": "ok"})

    async def index(self, _request: web.Request) -> web.Response:
        """Every endpoint, and what it answers."""
        listed = {
            f"{route.method} {route.path}": (route.handler.__doc__ or "").partition("\n")[0]
            for route in self.routes()
            if route.path.startswith("/api")
        }
        return web.json_response(listed)

    async def openapi(self, _request: web.Request) -> web.Response:
        """This API as an OpenAPI 3.1 document."""
        from badgateway.control.openapi import document  # noqa: PLC0415  (its models: only for who asks)

        return web.json_response(document(self.routes(), self._lab.hops, self._lab.instances))

    async def chain(self, _request: web.Request) -> web.Response:
        """The chain: its URL, and each hop and instance with address, pid and state."""
        return web.json_response(await self._lab.describe())

    async def faults(self, request: web.Request) -> web.Response:
        """The faults that are set, and how often each has fired; ?ended=true also those that are over."""
        ended = _flag(request, "ended")
        return web.json_response([fault.to_json() for fault in await self._faults(request, ended=ended)])

    async def set_fault(self, request: web.Request) -> web.Response:
        """Set a fault: {"target": "app", "kind": "hang", "for": "10s", "when": {"path": "/orders"}}; 201."""
        body = await _json_object(request)
        target = body.pop("target", None)
        if not isinstance(target, str):
            raise ApiError(400, f'"target" is missing: one of {", ".join(self._targets())}')
        session = session_of(request)
        if session is not None:
            body = fault_of(session, self._lab.hops, target, body)
        fault = await self._lab.set_fault(target, body)
        return web.json_response(fault.to_json(), status=201)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Clear every fault; says how many there were."""
        found = await self._faults(request)
        if session_of(request) is None:
            await self._lab.clear_faults()
        else:
            await together([self._lab.clear_fault(fault.id) for fault in found])
        return web.json_response({"cleared": len(found)})

    async def fault(self, request: web.Request) -> web.Response:
        """One fault, also once it is over."""
        known = {state.id: state for state in await self._faults(request, ended=True)}
        return web.json_response(known[_require(request.match_info["id"], known, "fault has the id")].to_json())

    async def clear_fault(self, request: web.Request) -> web.Response:
        """Clear one fault."""
        known = [state.id for state in await self._faults(request)]
        await self._lab.clear_fault(_require(request.match_info["id"], known, "fault is set with the id"))
        return web.json_response({"cleared": 1})

    async def _faults(self, request: web.Request, *, ended: bool = False) -> list[FaultState]:
        session = session_of(request)
        found = await self._lab.faults(ended=ended)
        return [fault for fault in found if session in (None, fault.when.get("session"))]

    async def hop(self, request: web.Request) -> web.Response:
        """A hop's configuration as it is now."""
        name = _require(request.match_info["name"], self._lab.hops, "hop is called")
        return web.json_response(await self._lab.config(name))

    async def patch_hop(self, request: web.Request) -> web.Response:
        """Change a hop's configuration while it runs, by JSON merge patch (RFC 7396); answers the whole of it."""
        of_all(request, "a patch")
        name = _require(request.match_info["name"], self._lab.hops, "hop is called")
        return web.json_response(await self._lab.patch(name, await _json_object(request)))

    async def breaker(self, request: web.Request) -> web.Response:
        """Act on a hop's circuit breaker: {"action": "force_open" | "force_closed" | "reset" | "disable"}."""
        of_all(request, "an order to a breaker")
        name = _require(request.match_info["name"], self._lab.hops, "hop is called")
        action = str((await _json_object(request)).get("action"))
        if action not in BREAKER_ACTIONS:
            raise ApiError(400, f'"action" {action!r} is none of {", ".join(BREAKER_ACTIONS)}')
        return web.json_response(await self._lab.breaker(name, action))

    async def purge(self, request: web.Request) -> web.Response:
        """Let a hop's cache forget responses: {"url": "/products"} | {"tag": "shop"} | {"all": true}; says how many."""
        of_all(request, "a purge")
        name = _require(request.match_info["name"], self._lab.hops, "hop is called")
        return web.json_response({"purged": await self._lab.purge(name, await _json_object(request))})

    async def state(self, request: web.Request) -> web.Response:
        """What a hop or instance says of itself now, as its own admin API does: endpoints, breaker, counts."""
        known = [*self._lab.hops, *self._lab.instances]
        return web.json_response(
            await self._lab.state(_require(request.match_info["name"], known, "hop or instance is called"))
        )

    async def restart(self, request: web.Request) -> web.Response:
        """Restart a process on its ports and wait until it is ready; "lost": faults and patches that ended with it."""
        of_all(request, "a restart")
        lost = await self._lab.restart(_require(request.match_info["name"], self._targets(), "process is called"))
        return web.json_response({**await self._lab.describe(), "lost": lost})

    async def stop(self, request: web.Request) -> web.Response:
        """Stop a process gracefully, as a deployment does."""
        of_all(request, "a stop")
        await self._lab.stop(_require(request.match_info["name"], self._targets(), "process is called"))
        return web.json_response(await self._lab.describe())

    async def clock(self, request: web.Request) -> web.Response:
        """Advance the clock of every process: {"advance": "30s"}. Sockets keep real time."""
        of_all(request, "another time")
        try:
            seconds = parse_duration((await _json_object(request)).get("advance"))
        except ValueError as error:
            raise ApiError(400, f'"advance": {error}') from None
        await self._lab.advance(seconds)
        return web.json_response({"advanced": format_duration(seconds)})

    async def reset(self, request: web.Request) -> web.Response:
        """Back to the start: no faults or orders, settings as started, breakers and records empty, all processes up."""
        of_all(request, "a reset")
        await self._lab.reset()
        if self._prepare is not None:
            await self._prepare(self._lab)
        return web.json_response(await self._lab.describe())

    async def exchanges(self, request: web.Request) -> web.Response:
        """The latest requests, each with what every hop saw; ?request_id= one of them, ?limit= how many (100)."""
        limit = request.query.get("limit", "100")
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_EXCHANGES:
            raise ApiError(400, f"limit is a number from 1 to {MAX_EXCHANGES}, not {limit[:40]!r}")
        traces = await self._lab.exchanges(
            request_id=request.query.get("request_id"),
            session=session_of(request),
            limit=int(limit),
            settled=_flag(request, "settled"),
        )
        return web.json_response([trace.to_json() for trace in traces])

    async def events(self, request: web.Request) -> web.StreamResponse:
        """What happens, as it happens (server-sent events): exchange, breaker, endpoint, firing, process, fault."""
        session = session_of(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        events = self._lab.events()
        try:
            await response.prepare(request)
            await response.write(b": connected\n\n")
            while not self.closing.is_set():
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        event = await anext(events)
                except TimeoutError:
                    await response.write(b": heartbeat\n\n")
                except StopAsyncIteration:
                    break
                else:
                    if session is None or await self._is_of(session, event):
                        await response.write(f"event: {event.kind}\ndata: {json.dumps(event.to_json())}\n\n".encode())
        except ConnectionError:
            pass  # the listener left, which is how a stream without an end ends
        finally:
            await events.aclose()
        return response

    async def _is_of(self, session: str, event: Event) -> bool:
        """Whether an event belongs to a session; what happens to hops and processes is everybody's."""
        match event.kind:
            case "exchange":
                return bool(event.data.get("session") == session)
            case "fault":
                return bool((event.data.get("when") or {}).get("session") == session)
            case "firing":
                faults = await self._lab.faults(ended=True)
                mine = {fault.id for fault in faults if fault.when.get("session") == session}
                return event.data.get("fault") in mine
            case "breaker" | "endpoint" | "process" | "order":
                return True

    def _targets(self) -> list[str]:
        return [*self._lab.hops, "app", *self._lab.instances]


def _require(word: str, known: Collection[str], what: str) -> str:
    if word in known:
        return word
    hint = did_you_mean(word, known)
    raise ApiError(404, f"no {what} {word!r}" + (f"; {hint}" if hint else ""))


def _flag(request: web.Request, name: str) -> bool:
    word = request.query.get(name, "false")
    if word not in {"true", "false"}:
        raise ApiError(400, f"{name} is true or false, not {word[:40]!r}")
    return word == "true"


async def _json_object(request: web.Request) -> Body:
    try:
        body = json.loads(await request.text() or "{}")
    except (ValueError, LookupError) as error:
        raise ApiError(400, f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body has to be a JSON object")
    return body
