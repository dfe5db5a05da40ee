"""A lab that runs already, somewhere else, for the runner: everything goes through its control API.

`badgateway run --attach URL` runs scenarios in it, one after the other. Each begins and ends with a reset, and gets
the chain that it asks for by live patches, or is not run.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

from badgateway.chain import faultspecs
from badgateway.chain.errors import EnvironmentProblem, LabError
from badgateway.chain.refitting import cannot_be_patched, in_the_way, patch_for
from badgateway.chain.spec import ChainSpec
from badgateway.chain.traces import Trace
from badgateway.control.client import ControlClient
from badgateway.running.labview import UnfitError
from badgateway_proxy import IMMUTABLE, format_duration

POLL: Final = 0.05
"""Seconds between looks at how often faults have fired."""
PATIENCE: Final = 15.0
"""Seconds that processes have to be there for a reset."""
MOST_EXCHANGES: Final = 1000
"""More the control API does not tell at once."""


@dataclass(slots=True)
class RemoteFault:
    """A fault in the other lab; `fired` is as of the last look."""

    id: str
    target: str
    kind: str
    fired: int


class RemoteLab:
    """See `badgateway.running.labview.LabLike`. Its methods raise what the control client does."""

    def __init__(self, control: ControlClient, told: Mapping[str, Any]) -> None:
        self._control = control
        nodes: list[dict[str, Any]] = told["nodes"]
        self._inside = {node["name"]: str(node["url"]) for node in nodes}
        self.urls: Mapping[str, str] = {name: seen_from_here(url, control.url) for name, url in self._inside.items()}
        self.hops: Sequence[str] = [node["name"] for node in nodes if node["kind"] == "hop"]
        self.instances: Sequence[str] = [node["name"] for node in nodes if node["kind"] == "instance"]
        self._ours = {node["name"] for node in nodes if node["pid"] is not None}
        self._there = self.instances
        self._faults: dict[str, RemoteFault] = {}
        self._looking: asyncio.Task[None] | None = None

    @classmethod
    async def fitted(cls, control: ControlClient, chain: ChainSpec) -> Self:
        """Reset the lab and make its chain the one that is wanted.

        Raises:
            UnfitError: it cannot be that without being started anew; says why.
        """
        await asyncio.to_thread(control.chain)  # or a wrong address would be found out only after all that patience
        told = await _reset(control)
        lab = cls(control, told)
        try:
            await lab._fit(chain, told)
        except BaseException:
            await lab.close()
            raise
        return lab

    async def _fit(self, chain: ChainSpec, told: Mapping[str, Any]) -> None:
        if problems := in_the_way(chain, told):
            raise UnfitError("; ".join(problems))
        self.instances = chain.instances
        for hop in chain.hops:
            await self._fit_hop(hop, chain)

    async def _fit_hop(self, hop: str, chain: ChainSpec) -> None:
        live = await self._call("GET", f"hops/{hop}")
        several = len(self._there) > 1
        patch = patch_for(chain, hop, live, self._inside, several=several)
        if problems := cannot_be_patched(hop, patch, IMMUTABLE):
            raise UnfitError("; ".join(problems))
        if not patch:
            return
        if left := patch_for(chain, hop, await self.patch(hop, patch), self._inside, several=several):
            raise UnfitError(f"{hop} does not take {', '.join(left)}: another version of badgateway?")

    async def close(self) -> None:
        """Leave the lab as it was started."""
        if self._looking is not None:
            self._looking.cancel()
        with suppress(LabError):  # what became of the scenario is known, and counts more
            await self._call("POST", "reset")

    async def set_fault(self, target: str, spec: Mapping[str, object]) -> RemoteFault:
        """Set a fault; for one that strikes a process at once, return when it has."""
        # who runs the others starts them again when he likes, and nobody tells when a signal has had its effect
        if target in self.hops or faultspecs.for_instance(spec).category == "process":
            self._needs_process(target, f"the fault {spec.get('kind')}")
        told = await asyncio.to_thread(self._control.set_fault, self._meant(target), spec)
        fault = RemoteFault(str(told["id"]), target, str(told["kind"]), int(told["fired"]))
        self._faults[fault.id] = fault
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_for_ever(), name="faults of the attached lab")
        return fault

    async def _look_for_ever(self) -> None:
        while True:
            with suppress(LabError):  # the next request that needs the lab will say so
                await self._look()
            await asyncio.sleep(POLL)

    async def _look(self) -> list[RemoteFault]:
        """See how often each of ours has fired; those in force."""
        active = []
        for told in await self._call("GET", "faults", query={"ended": "true"}):
            fault = self._faults.get(str(told["id"]))
            if fault is not None:
                fault.fired = int(told["fired"])
                active += [fault] if told["active"] else []
        return active

    async def clear_fault(self, id: str) -> None:
        """Clear one."""
        await asyncio.to_thread(self._control.clear_fault, id)

    async def clear_faults(self) -> None:
        """Clear all."""
        await asyncio.to_thread(self._control.clear_faults)

    async def faults(self) -> Sequence[RemoteFault]:
        """Those in force; how often each that was set has fired is known as of now."""
        return await self._look()

    async def restart(self, target: str) -> Sequence[str]:
        """Start anew, on the same port; returns what was lost so."""
        self._needs_process(target, "a restart")
        return await asyncio.to_thread(self._control.restart, self._meant(target))

    async def stop(self, target: str) -> None:
        """Stop in good order."""
        self._needs_process(target, "a stop")
        await asyncio.to_thread(self._control.stop, self._meant(target))

    async def deploy(self, target: str, settings: Mapping[str, object], *, may_not_start: bool = False) -> None:
        """Never possible: the control API does not start instances with other settings."""
        raise UnfitError(f"deploy: {target} can be started with other settings only in a chain of its own")

    async def patch(self, hop: str, patch: Mapping[str, object]) -> Mapping[str, Any]:
        """Change a hop's live configuration."""
        changed: Mapping[str, Any] = await self._call("PATCH", f"hops/{hop}", dict(patch))
        return changed

    async def breaker(self, hop: str, action: str) -> Mapping[str, Any]:
        """Act on a hop's breaker."""
        state: Mapping[str, Any] = await self._call("POST", f"hops/{hop}/breaker", {"action": action})
        return state

    async def purge(self, hop: str, what: Mapping[str, object]) -> int:
        """Let a hop's cache forget responses."""
        return int((await self._call("POST", f"hops/{hop}/cache/purge", dict(what)))["purged"])

    async def advance(self, seconds: float) -> None:
        """Let every process's clock run ahead."""
        await self._call("POST", "clock", {"advance": format_duration(seconds)})

    async def state(self, name: str) -> Mapping[str, Any]:
        """A node's admin state, with endpoints at the addresses that `urls` has."""
        state: dict[str, Any] = await self._call("GET", f"processes/{quote(name, safe='')}/state")
        outside = {urlsplit(url).netloc: urlsplit(self.urls[name]).netloc for name, url in self._inside.items()}
        for endpoint in state.get("endpoints", ()):
            endpoint["address"] = outside.get(endpoint["address"], endpoint["address"])
        return state

    async def exchanges(self, *, request_id: str | None = None, limit: int = 100) -> Sequence[Trace]:
        """Traces of requests. How often faults have fired is known as of then, too."""
        query: dict[str, object] = {"limit": min(limit, MOST_EXCHANGES)}
        if request_id is not None:
            query["request_id"] = request_id
        found = [Trace(**told) for told in await self._call("GET", "exchanges", query=query)]
        if self._faults:
            await self._look()
        return found

    def _meant(self, target: str) -> str:
        """The target, where the one instance that is wanted stands for the whole tier."""
        return self.instances[0] if target == "app" and len(self.instances) < len(self._there) else target

    def _needs_process(self, target: str, what: str) -> None:
        names = self.instances if target == "app" else [target]
        if strange := [name for name in names if name not in self._ours]:
            raise UnfitError(f"{what}: {strange[0]} is no process of the lab's own")

    async def _call(
        self, method: str, path: str, body: object = None, *, query: Mapping[str, object] | None = None
    ) -> Any:
        return await asyncio.to_thread(self._control.call, method, path, body, query=query)


async def _reset(control: ControlClient) -> Mapping[str, Any]:
    """Reset, as soon as every process answers: whoever runs them may be starting one again that crashed."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        try:
            told: Mapping[str, Any] = await asyncio.to_thread(control.call, "POST", "reset")
        except EnvironmentProblem:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(POLL)
        else:
            return told


def seen_from_here(url: str, control: str) -> str:
    """A node's URL as this machine reaches it.

    Where its host's name means nothing here (`http://cdn:8080`, a container's), the node is sought where the control
    API is, on the same port: there docker-compose.yml publishes it.
    """
    parts, host = urlsplit(url), urlsplit(control).hostname or ""
    try:
        socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError:
        authority = f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"
        return urlunsplit(parts._replace(netloc=authority))
    return url
