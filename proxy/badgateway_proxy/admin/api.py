"""A hop's admin API: its configuration, state and records, on a port of its own.

Everything but ``GET /healthz`` needs the bearer token. Errors are ``{"error": "what, and what to do"}``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp import web

from badgateway_proxy.admin.guard import make_guards
from badgateway_proxy.admin.metrics import exposition
from badgateway_proxy.admin.tokens import resolve_token
from badgateway_proxy.cache.cache import Cache
from badgateway_proxy.clock import Clock
from badgateway_proxy.configuration.config import ConfigError, HopConfig, ImmutableFieldError, merge_patch, public_view
from badgateway_proxy.configuration.durations import parse_duration
from badgateway_proxy.policies.breaker import Breaker
from badgateway_proxy.records import Recorder, Subscription

LOG: Final = logging.getLogger("badgateway_proxy.admin.api")
LARGEST_BODY: Final = 1024 * 1024
HEARTBEAT: Final = 10.0
"""Seconds of silence after which the event stream says that it is alive."""


class HopControl(Protocol):
    """What the admin API needs of a hop."""

    @property
    def config(self) -> HopConfig:
        """The configuration in force."""

    @property
    def recorder(self) -> Recorder:
        """Its records, totals and subscribers."""

    @property
    def breaker(self) -> Breaker:
        """Its circuit breaker."""

    @property
    def cache(self) -> Cache | None:
        """Its cache, if it has one."""

    @property
    def clock(self) -> Clock:
        """The clock of its policies."""

    def state(self) -> dict[str, Any]:
        """What ``GET /state`` answers."""

    def apply_config(self, config: HopConfig, /) -> None:
        """Use another configuration from now on."""

    def reset(self) -> None:
        """Back to how it started: configuration, breaker, records, counters, clock."""


def make_admin_app(hop: HopControl, *, heartbeat: float = HEARTBEAT) -> web.Application:
    """Return the admin API of ``hop`` as an aiohttp application.

    The token is that of configuration, BADGATEWAY_TOKEN or the token file; otherwise a random one is made and
    shown on stderr. Raises `tokens.TokenError` when the token file cannot be used. ``heartbeat``: seconds.
    """
    settings = hop.config.admin
    token, unknown = resolve_token(settings.token, settings.token_file)
    if unknown:
        sys.stderr.write(f"admin token: {token}\n")
        sys.stderr.flush()
    app = web.Application(
        middlewares=make_guards(token, settings.host, settings.allowed_hosts), client_max_size=LARGEST_BODY
    )
    api = _AdminApi(hop, heartbeat)
    app.add_routes(
        [
            web.get("/healthz", api.get_health),
            web.get("/config", api.get_config),
            web.patch("/config", api.patch_config),
            web.get("/state", api.get_state),
            web.get("/metrics", api.get_metrics),
            web.post("/breaker", api.post_breaker),
            web.post("/cache/purge", api.post_purge),
            web.post("/reset", api.post_reset),
            web.post("/clock", api.post_clock),
            web.get("/exchanges", api.get_exchanges),
            web.get("/events", api.get_events, allow_head=False),
        ]
    )
    app.on_shutdown.append(api.close)
    return app


class _AdminApi:
    """One method a route."""

    def __init__(self, hop: HopControl, heartbeat: float) -> None:
        self._hop = hop
        self._heartbeat = heartbeat
        self._streams: set[asyncio.Task[None]] = set()

    async def get_health(self, request: web.Request) -> web.Response:
        """The process is up; says nothing of the upstream."""
        return web.json_response({"status": "ok"})

    async def get_config(self, request: web.Request) -> web.Response:
        """The configuration in force, without the token."""
        return web.json_response(public_view(self._hop.config))

    async def patch_config(self, request: web.Request) -> web.Response:
        """Apply a JSON merge patch (RFC 7396), wholly or not at all."""
        try:
            config = merge_patch(self._hop.config, await _json(request))
        except ImmutableFieldError as error:
            return _refusal(409, error)
        except ConfigError as error:
            return _refusal(400, error)
        self._hop.apply_config(config)
        return web.json_response(public_view(config))

    async def get_state(self, request: web.Request) -> web.Response:
        """Breaker, endpoints, connections, totals."""
        return web.json_response(self._hop.state())

    async def get_metrics(self, request: web.Request) -> web.Response:
        """What was counted, in Prometheus' text format or OpenMetrics."""
        text, content_type = exposition(self._hop.recorder, self._hop.state(), request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def post_breaker(self, request: web.Request) -> web.Response:
        """Order the breaker into a state; answers with its state."""
        breaker = self._hop.breaker
        actions: dict[str, Callable[[float], None]] = {
            "force_open": breaker.force_open,
            "force_closed": breaker.force_closed,
            "reset": breaker.reset,
            "disable": breaker.disable,
        }
        name = _only(await _json(request), "action")
        action = actions.get(name) if isinstance(name, str) else None
        if action is None:
            raise web.HTTPBadRequest(text=f"action must be one of {', '.join(actions)}")
        now = self._hop.clock.now()
        action(now)
        return web.json_response(breaker.snapshot(now))

    async def post_purge(self, request: web.Request) -> web.Response:
        """Forget stored responses: of a URL, with a tag, or all; answers with how many there were."""
        cache = self._hop.cache
        if cache is None:
            raise web.HTTPConflict(text="this hop has no cache: set cache.enabled")
        content = await _json(request)
        wanted = content if isinstance(content, dict) and len(content) == 1 else {}
        url, tag = wanted.get("url"), wanted.get("tag")
        if isinstance(url, str) and url.startswith(("/", "http://", "https://")):
            count = cache.purge(url=url)
        elif isinstance(tag, str):
            count = cache.purge(tag=tag)
        elif wanted.get("all") is True:
            count = cache.purge()
        else:
            words = 'the body must be {"url": "/path or http://host/path"}, {"tag": "name"} or {"all": true}'
            raise web.HTTPBadRequest(text=words)
        return web.json_response({"purged": count})

    async def post_reset(self, request: web.Request) -> web.Response:
        """Back to how the hop started; answers with its state."""
        self._hop.reset()
        return web.json_response(self._hop.state())

    async def post_clock(self, request: web.Request) -> web.Response:
        """Advance the policies' clock; answers with its whole offset in seconds."""
        try:
            offset = self._hop.clock.advance(parse_duration(_only(await _json(request), "advance")))
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"advance: {error}") from error
        return web.json_response({"offset": offset})

    async def get_exchanges(self, request: web.Request) -> web.Response:
        """Exchange records, oldest first: the latest, or with ``after`` the next ones after that id."""
        unknown = request.query.keys() - {"request_id", "session", "limit", "after"}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise web.HTTPBadRequest(text=f"unknown parameter {names}; there is request_id, session, limit, after")
        after = _number(request, "after", 0)
        limit = _number(request, "limit", 1)
        wanted = request.query.get
        found = self._hop.recorder.query(
            wanted("request_id"), 100 if limit is None else limit, after, wanted("session")
        )
        return web.json_response([record.as_dict() for record in found])

    async def get_events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: exchanges as they end, changes of the breaker's state; until shutdown."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        with self._hop.recorder.subscribe() as subscription:
            await response.prepare(request)
            stream = asyncio.create_task(self._stream(subscription, response))
            self._streams.add(stream)
            try:
                await asyncio.wait([stream])
                if not stream.cancelled():
                    stream.result()
            finally:
                stream.cancel()
                self._streams.discard(stream)
        return response

    async def _stream(self, subscription: Subscription, response: web.StreamResponse) -> None:
        """Write events until cancelled, or until the client is gone."""
        told = 0
        try:
            # Tells the client that it is subscribed: what happens from here on it will hear of.
            await response.write(b": subscribed\n\n")
            while True:
                try:
                    event = await asyncio.wait_for(subscription.queue.get(), self._heartbeat)
                except TimeoutError:
                    await response.write(b": heartbeat\n\n")
                    continue
                if subscription.dropped > told:
                    told = subscription.dropped
                    await response.write(_message("dropped", {"dropped": told}))
                await response.write(_message(event.kind, event.as_dict()))
        except ConnectionError:
            LOG.debug("a listener of the event stream left")

    async def close(self, app: web.Application) -> None:
        """End the event streams, which would otherwise keep the process up."""
        for stream in self._streams:
            stream.cancel()


def _message(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _refusal(status: int, error: ConfigError) -> web.Response:
    problems = [{"path": problem.path, "what": problem.what} for problem in error.problems]
    return web.json_response({"error": str(error), "problems": problems}, status=status)


async def _json(request: web.Request) -> object:
    body = await request.read()
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"the body must be JSON: {error}") from error
    return content


def _only(content: object, key: str) -> object:
    """The value of the one key that the body must have."""
    if not isinstance(content, dict) or content.keys() != {key}:
        raise web.HTTPBadRequest(text=f'the body must be {{"{key}": …}} and nothing else')
    return content[key]


def _number(request: web.Request, name: str, least: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) >= least):
        raise web.HTTPBadRequest(text=f"{name} must be a whole number, at least {least}")
    return int(text)
