"""Instances of the fake upstream for tests: inside the test's event loop, or as a process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp

from badgateway_upstream import FaultSpec, InstanceConfig
from badgateway_upstream.engine.activefault import ActiveFault, Exchange
from badgateway_upstream.instance import Instance
from tests.support.rawclient import RawClient, raw_client

TOKEN = "token-for-tests"


class HereInstance:
    """An instance in this event loop. `events` are what it would have written to stdout."""

    def __init__(self, instance: Instance, events: list[dict[str, Any]]) -> None:
        self.instance = instance
        self.events = events

    @property
    def firings(self) -> list[dict[str, Any]]:
        """The firing events so far."""
        return [event for event in self.events if event["event"] == "firing"]

    @property
    def dns(self) -> str:
        """Where it answers DNS."""
        assert self.instance.dns is not None
        return self.instance.dns.address

    def fault(self, kind: str, **attributes: Any) -> ActiveFault:
        """Set a fault; ``for`` and the like as keyword ``for_``."""
        data = {name.removesuffix("_"): value for name, value in attributes.items()}
        return self.instance.set_fault(FaultSpec.model_validate({"kind": kind, **data}))

    def client(self) -> AbstractAsyncContextManager[RawClient]:
        """A raw connection."""
        return raw_client(self.instance.listen)

    async def exchange(self, request_id: str) -> Exchange:
        """The record of a request, once it is over."""
        async with asyncio.timeout(5):
            while True:
                for exchange in self.instance.exchanges():
                    if exchange.request_id == request_id and exchange.duration is not None:
                        return exchange
                await asyncio.sleep(0)


def config(**settings: Any) -> InstanceConfig:
    """A configuration with free ports."""
    base = {"listen": {"port": 0}, "admin": {"token": TOKEN}}
    return InstanceConfig.model_validate({**base, **settings})


@asynccontextmanager
async def here(**settings: Any) -> AsyncIterator[HereInstance]:
    """Run an instance in this event loop. Don't set process faults on it that hit the process: it is the test's."""
    events: list[dict[str, Any]] = []
    instance = Instance(config(**settings), events.append, TOKEN)
    await instance.start()
    instance.ready()
    try:
        yield HereInstance(instance, events)
    finally:
        await instance.stop()


class SpawnedInstance:
    """An instance that is a process. `ready` is its ready line."""

    def __init__(self, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.ready: dict[str, Any] = {}
        self._session = session

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def client(self) -> AbstractAsyncContextManager[RawClient]:
        """A raw connection."""
        return raw_client(self.ready["listen"])

    async def event(self) -> dict[str, Any]:
        """The next line on its stdout; {} at its end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        return dict(json.loads(line)) if line else {}

    async def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call its control API: status and JSON."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://{self.ready['admin']}{path}"
        async with self._session.request(method, url, json=body, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def fault(self, kind: str, **attributes: Any) -> dict[str, Any]:
        """Set a fault through the control API."""
        data = {name.removesuffix("_"): value for name, value in attributes.items()}
        status, state = await self.api("POST", "/faults", {"kind": kind, **data})
        assert status == 201, state
        return dict(state)

    async def exited(self) -> int:
        """Wait for its end; return the status (negative: the signal)."""
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def spawned(*options: str, stdin: int = subprocess.DEVNULL) -> AsyncIterator[SpawnedInstance]:
    """Run ``python -m badgateway_upstream`` on free ports; kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "badgateway_upstream", "--listen", "127.0.0.1:0", *options),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "BADGATEWAY_TOKEN": TOKEN},
    )
    async with aiohttp.ClientSession() as session:
        spawned = SpawnedInstance(process, session)
        try:
            spawned.ready = await spawned.event()
            yield spawned
        finally:
            if process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)
            # communicate() closes the pipes too
            await process.communicate()
