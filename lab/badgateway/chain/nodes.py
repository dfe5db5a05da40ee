"""Talking to hops and instances over their admin APIs, with short deadlines and errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.spec import DNS
from badgateway.processes.supervisor import Process, State

ADMIN_DEADLINE = 2.0
"""Seconds for one admin request. A hop under full load answers within some tens of milliseconds."""
GONE_DEADLINE = 1.0
"""Seconds in which a process that does not answer because it is dead is reported to be."""
REFUSED = frozenset((400, 404, 409, 413))
"""Statuses that mean: what was asked is wrong."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A hop or instance that runs already: `tier` is cdn, lb or app; `url` and `admin` are `http://host:port`."""

    name: str
    tier: str
    url: str
    admin: str


class Unreachable(EnvironmentProblem):
    """A node did not answer. `sent`: it got the request, or may have, before it went silent."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class AdminClient:
    """The part of the admin API that hops and instances share. `base` is `http://host:port`."""

    def __init__(self, name: str, base: str, token: str, session: aiohttp.ClientSession) -> None:
        self.name, self.base = name, base.rstrip("/")
        self._token, self._session = token, session

    async def healthy(self) -> bool:
        """Whether it answers at all."""
        try:
            await self.ping()
        except EnvironmentProblem:
            return False
        return True

    async def ping(self) -> None:
        """Return once it has answered; what it was at before is done then."""
        await self._ask("GET", "/healthz")

    async def state(self) -> dict[str, Any]:
        """What it says of itself now."""
        return _object(await self._ask("GET", "/state"))

    async def advance(self, seconds: float) -> None:
        """Advance its clock."""
        await self._ask("POST", "/clock", {"advance": f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"})

    async def reset(self) -> None:
        """Bring it back to how it was started, without restarting it."""
        await self._ask("POST", "/reset")

    async def _ask(self, method: str, path: str, body: object = None, **query: str | int) -> Any:
        """One request; its JSON answer.

        Raises:
            InvalidRequest: it refused; the message is its own.
            Unreachable: no connection, no answer in time, or the connection broke.
            EnvironmentProblem: an answer that no node of ours gives.
        """
        try:
            async with self._session.request(
                method,
                self.base + path,
                params=query,
                json=body,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=ADMIN_DEADLINE),
            ) as response:
                text = await response.text()
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"{self.name} refuses connections to its admin port", sent=False) from error
        except TimeoutError as error:
            what = f"{self.name} did not answer on its admin port within {ADMIN_DEADLINE:g} s; is it frozen?"
            raise Unreachable(what, sent=True) from error
        except aiohttp.ClientError as error:
            what = f"{self.name} closed its admin connection without an answer"
            raise Unreachable(what, sent=True) from error
        return self._judge(response.status, text)

    def _judge(self, status: int, text: str) -> Any:
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            raise EnvironmentProblem(f"{self.name} answered its admin request with {text[:80]!r}") from None
        if status < 300:
            return answer
        why = str(answer.get("error", answer)) if isinstance(answer, dict) else f"status {status}"
        if status in REFUSED:
            raise InvalidRequest(f"{self.name}: {why}")
        raise EnvironmentProblem(f"{self.name} refused an admin request with {status}: {why}")

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}


class HopAdmin(AdminClient):
    """The admin API of a hop."""

    async def config(self) -> dict[str, Any]:
        """Its live configuration."""
        return _object(await self._ask("GET", "/config"))

    async def patch(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Change its live configuration by a JSON merge patch (RFC 7396); returns the whole of it."""
        return _object(await self._ask("PATCH", "/config", dict(patch)))

    async def breaker(self, action: str) -> dict[str, Any]:
        """force_open, force_closed, reset or disable its circuit breaker; returns the breaker's state."""
        return _object(await self._ask("POST", "/breaker", {"action": action}))

    async def purge(self, what: Mapping[str, Any]) -> int:
        """Forget stored responses: `{"url": …}`, `{"tag": …}` or `{"all": True}`; returns how many there were."""
        return int(_object(await self._ask("POST", "/cache/purge", dict(what)))["purged"])

    async def exchanges(
        self, *, request_id: str | None = None, session: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Its exchange records, oldest first: of one request, of one session, or all."""
        query: dict[str, str | int] = {"limit": limit}
        if request_id is not None:
            query["request_id"] = request_id
        if session is not None:
            query["session"] = session
        return _list(await self._ask("GET", "/exchanges", **query), "exchanges")

    async def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Its event stream, as (kind, data), until the connection ends."""
        deadlines = aiohttp.ClientTimeout(total=None, sock_connect=ADMIN_DEADLINE)
        try:
            async with self._session.get(f"{self.base}/events", headers=self._headers, timeout=deadlines) as response:
                kind = "message"
                async for raw in response.content:
                    field, _, value = raw.decode().rstrip("\r\n").partition(": ")
                    if field == "event":
                        kind = value
                    elif field == "data":
                        yield kind, json.loads(value)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{self.name} ended its event stream", sent=True) from error


class InstanceAdmin(AdminClient):
    """The control API of an app instance."""

    async def faults(self) -> list[dict[str, Any]]:
        """The faults that are set on it, each with how often it fired."""
        return _list(await self._ask("GET", "/faults"), "faults")

    async def set_fault(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Set a fault; returns it as `faults` would."""
        return _object(await self._ask("POST", "/faults", dict(spec)))

    async def clear_fault(self, id_: str) -> None:
        """Take a fault back; nothing happens if it has expired."""
        try:
            await self._ask("DELETE", f"/faults/{id_}")
        except InvalidRequest:
            if any(fault["id"] == id_ for fault in await self.faults()):
                raise

    async def firings(self) -> list[dict[str, Any]]:
        """How its faults happened, oldest first."""
        return _list(await self._ask("GET", "/firings", limit=1000), "firings")

    async def requests(self, *, request_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Its request records, oldest first."""
        query: dict[str, str | int] = {"limit": limit}
        if request_id is not None:
            query["request_id"] = request_id
        return _list(await self._ask("GET", "/requests", **query), "requests")


def scheme_of(told: Mapping[str, Any]) -> str:
    """How a node's clients must speak: `http`, or `https` by its configuration (a hop's) or state (an instance's)."""
    tls = told.get("tls")
    return "https" if (tls.get("enabled") if isinstance(tls, Mapping) else tls) else "http"


def _object(answer: Any) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {}


def _list(answer: Any, key: str) -> list[dict[str, Any]]:
    found = answer.get(key, []) if isinstance(answer, dict) else answer
    return list(found or [])


@dataclass(slots=True)
class Node:
    """One hop or instance of a lab. `process` is None where somebody else runs it (an attached lab)."""

    name: str
    tier: str
    url: str
    admin: HopAdmin | InstanceAdmin
    process: Process | None = None

    @property
    def kind(self) -> str:
        """ "hop", "instance" or "dns"."""
        if self.tier == DNS:
            return DNS
        return "instance" if isinstance(self.admin, InstanceAdmin) else "hop"

    @property
    def hop(self) -> HopAdmin:
        """Its admin API, for a hop."""
        assert isinstance(self.admin, HopAdmin)
        return self.admin

    @property
    def instance(self) -> InstanceAdmin:
        """Its control API, for an instance, or a DNS server."""
        assert isinstance(self.admin, InstanceAdmin)
        return self.admin

    async def is_gone(self, error: Unreachable) -> bool:
        """After it did not answer: whether its process has died or frozen, which the kernel tells a little
        later.

        Of a process that is not ours we know only that nobody listens.
        """
        if self.process is None:
            return not error.sent
        return await self.process.until(State.FROZEN, State.EXITED, deadline=GONE_DEADLINE)

    @property
    def answers(self) -> bool:
        """Whether asking it makes sense: its process runs, or is not ours to know about."""
        return self.process is None or self.process.state is State.RUNNING
