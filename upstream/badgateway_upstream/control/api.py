"""The control API of one instance: set and clear faults, read what happened."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError

from badgateway_upstream.control.access import error_response, guard
from badgateway_upstream.durations import parse_duration
from badgateway_upstream.engine.activefault import ActiveFault, Exchange
from badgateway_upstream.engine.book import Book, RefusedError
from badgateway_upstream.engine.registry import FAULTS, FaultSpec, FaultType
from badgateway_upstream.strict import problems_of

_LARGEST_BODY: Final = 1 << 20


class Controlled(Protocol):
    """What the API controls."""

    name: str
    book: Book

    def set_fault(self, spec: FaultSpec) -> ActiveFault:
        """Set a fault; one that acts on the process at once does so shortly after this returns."""

    def advance(self, seconds: float) -> float:
        """Advance the clock that faults end by; return the whole offset."""

    def state(self) -> dict[str, Any]:
        """Counters and what is going on."""

    def exchanges(self) -> list[Exchange]:
        """The latest requests, oldest first."""

    async def reset(self) -> None:
        """As just started: no faults but the configured ones, no orders, no records, real time.

        Raises RefusedError when the database cannot be written.
        """


class _BadInputError(Exception):
    def __init__(self, status: int, message: str, problems: list[str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems


def build(controlled: Controlled, token: str, allowed_hosts: list[str]) -> web.Application:
    """Return the aiohttp application of the control API."""
    app = web.Application(middlewares=[guard(token, allowed_hosts), _errors], client_max_size=_LARGEST_BODY)
    api = _Api(controlled)
    app.add_routes(
        [
            web.get("/healthz", api.healthz),
            web.get("/faults", api.faults),
            web.post("/faults", api.set_fault),
            web.delete("/faults", api.clear_faults),
            web.get("/faults/{id}", api.fault),
            web.delete("/faults/{id}", api.clear_fault),
            web.get("/fault-types", api.fault_types),
            web.get("/firings", api.firings),
            web.get("/requests", api.requests),
            web.get("/state", api.state),
            web.post("/clock", api.clock),
            web.post("/reset", api.reset),
        ]
    )
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _BadInputError as error:
        more = {} if error.problems is None else {"problems": error.problems}
        return error_response(error.status, str(error), **more)
    except RefusedError as error:
        return error_response(error.status, str(error))
    except web.HTTPException as error:
        if error.status == 413:
            return error_response(413, f"the body may have {_LARGEST_BODY} bytes at most")
        what = f"{request.method} {request.path}: {error.reason}"
        return error_response(error.status, what)


class _Api:
    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled

    async def healthz(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "ok"})

    async def faults(self, request: web.Request) -> web.Response:
        del request
        return web.json_response([fault.state() for fault in self._controlled.book.faults()])

    async def fault(self, request: web.Request) -> web.Response:
        found = self._controlled.book.get(request.match_info["id"])
        if found is None:
            raise _no_such(request)
        return web.json_response(found.state())

    async def set_fault(self, request: web.Request) -> web.Response:
        data = await _json(request)
        try:
            spec = FaultSpec.model_validate(data)
        except ValidationError as error:
            problems = problems_of(error)
            raise _BadInputError(400, "; ".join(problems), problems) from error
        return web.json_response(self._controlled.set_fault(spec).state(), status=201)

    async def clear_fault(self, request: web.Request) -> web.Response:
        if not self._controlled.book.remove(request.match_info["id"]):
            raise _no_such(request)
        return web.Response(status=204)

    async def clear_faults(self, request: web.Request) -> web.Response:
        del request
        self._controlled.book.clear()
        return web.Response(status=204)

    async def fault_types(self, request: web.Request) -> web.Response:
        del request
        return web.json_response([_described(fault) for fault in FAULTS.values()])

    async def firings(self, request: web.Request) -> web.Response:
        wanted_request, wanted_fault = request.query.get("request_id"), request.query.get("fault")
        found = [
            asdict(firing)
            for firing in self._controlled.book.firings
            if wanted_request in (None, firing.request_id) and wanted_fault in (None, firing.fault)
        ]
        return web.json_response(found[-_limit(request) :])

    async def requests(self, request: web.Request) -> web.Response:
        wanted = request.query.get("request_id")
        found = [asdict(exchange) for exchange in self._controlled.exchanges() if wanted in (None, exchange.request_id)]
        return web.json_response(found[-_limit(request) :])

    async def state(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self._controlled.state())

    async def clock(self, request: web.Request) -> web.Response:
        data = await _json(request)
        if not isinstance(data, dict) or set(data) != {"advance"}:
            raise _BadInputError(400, 'the body must be like {"advance": "30s"}')
        try:
            offset = self._controlled.advance(parse_duration(data["advance"]))
        except ValueError as error:
            raise _BadInputError(400, f"advance: {error}") from error
        return web.json_response({"offset": offset})

    async def reset(self, request: web.Request) -> web.Response:
        del request
        await self._controlled.reset()
        return web.json_response({"status": "ok"})


def _no_such(request: web.Request) -> _BadInputError:
    return _BadInputError(404, f"there is no fault {request.match_info['id']!r}; GET /faults lists them")


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise _BadInputError(400, f"the body must be JSON: {error}") from error


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "100")
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= 100_000:
        raise _BadInputError(400, "limit must be a number from 1 to 100000")
    return int(text)


def _described(fault: FaultType[Any]) -> dict[str, Any]:
    return {
        "name": fault.name,
        "category": fault.category,
        "summary": fault.summary,
        "provokes": fault.provokes,
        "schema": fault.attributes.model_json_schema(),
    }
