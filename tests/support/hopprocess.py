"""A hop in a process of its own, started as its users start it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

DEADLINE = 20


@dataclass
class HopProcess:
    """A hop in a process of its own."""

    process: Process
    ready: dict[str, Any]

    @property
    def address(self) -> str:
        address = self.ready["listen"]
        assert isinstance(address, str)
        return address

    async def ended(self) -> tuple[int, str]:
        """Its exit status and what it wrote on stderr, once it has ended."""
        async with asyncio.timeout(DEADLINE):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


async def start(*arguments: str, stdin: int = PIPE) -> Process:
    command = (sys.executable, "-m", "badgateway_proxy", *arguments)
    environment = os.environ | {"BADGATEWAY_TOKEN": "secret"}
    return await asyncio.create_subprocess_exec(*command, stdin=stdin, stdout=PIPE, stderr=PIPE, env=environment)


@asynccontextmanager
async def hop_process(upstream: str, *settings: str, stdin: int = PIPE) -> AsyncIterator[HopProcess]:
    arguments = ["--name", "lb", "--listen", "127.0.0.1:0", "--upstream", upstream]
    for setting in settings:
        arguments += ["--set", setting]
    process = await start(*arguments, stdin=stdin)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            line = await process.stdout.readline()
        yield HopProcess(process, json.loads(line) if line else {})
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
