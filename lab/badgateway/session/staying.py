"""The chain of `badgateway up` while it lives: brought up, announced, watched, and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from badgateway.chain.attaching import located
from badgateway.chain.errors import EnvironmentProblem
from badgateway.chain.lab import Lab
from badgateway.chain.nodes import NodeAddress
from badgateway.chain.spec import ChainSpec
from badgateway.control import statefile
from badgateway.control.server import ControlServer, Prepare
from badgateway.processes.forkserver import ForkServer
from badgateway.processes.ports import Ports, Reservations
from badgateway.session.announcing import Announcer, Ready
from badgateway.session.readyfile import ReadyFile


@dataclass(frozen=True)
class Listening:
    """Where everything listens, and the control API's token."""

    ports: Ports
    control_host: str
    allowed_hosts: Sequence[str]
    token: str


@dataclass(frozen=True)
class Stay:
    """How a chain stays.

    `ready_file`: written once the chain is ready, instead of the state file by which the other commands find it.
    `prepare`: done once it is ready, and again after each reset. `until_stdin_ends`: end when stdin does.
    """

    announcer: Announcer
    ready_file: Path | None = None
    prepare: Prepare | None = None
    until_stdin_ends: bool = False


async def stay(
    chain: ChainSpec,
    nodes: Sequence[NodeAddress],
    listening: Listening,
    how: Stay,
    forkserver: ForkServer | None,
) -> None:
    """Bring the chain up (or attach to `nodes`), serve the control API, and print events until cancelled.

    Returns when stdin has ended, if `how` says so.

    Raises:
        EnvironmentProblem: a port is taken, another chain runs, or the chain's processes were lost.
    """
    async with (
        _reserved_control(listening),
        _lab(chain, nodes, listening, forkserver) as lab,
        _control(lab, listening, how.prepare) as control,
    ):
        state = statefile.this_process(control.url, listening.token)
        file = ReadyFile(how.ready_file) if how.ready_file is not None else None
        if file is None:
            _claim(state)
        try:
            if how.prepare is not None:
                await how.prepare(lab)
            events = lab.events() if how.announcer.narrates else None
            ready = Ready(lab.url, lab.urls, (await lab.describe())["nodes"], state)
            if file is not None:
                file.write(ready.to_json())
            how.announcer.announce(ready)
            telling = how.announcer.narrate(events) if events is not None else asyncio.Event().wait()
            if await _until_lost(telling, forkserver, stdin=how.until_stdin_ends):
                return
            raise EnvironmentProblem(lab.failure or "the chain ended by itself")
        finally:
            if file is not None:
                file.remove()
            else:
                statefile.release(state)
            click.echo("closing the chain", err=True)


@asynccontextmanager
async def _reserved_control(listening: Listening) -> AsyncIterator[None]:
    """Hold the control API's port: a chain should not come up to be told that nobody can control it, nor take it."""
    held = Reservations(listening.control_host)
    try:
        held.take(listening.ports.control, option="--control-port")
        yield
    finally:
        held.close()


async def _until_lost(telling: Coroutine[Any, Any, object], forkserver: ForkServer | None, *, stdin: bool) -> bool:
    """Await `telling`, but no longer than the fork server lives: every process of the chain dies with it.

    Returns:
        Whether it was stdin that ended, if `stdin` says to watch it.
    """
    lost, orphaned = asyncio.Event(), asyncio.Event()
    forget = forkserver.on_lost(lost.set) if forkserver is not None else None
    tasks = {asyncio.create_task(telling), asyncio.create_task(_wait(lost)), asyncio.create_task(_wait(orphaned))}
    if stdin:
        _watch_stdin(orphaned)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if forget is not None:
            forget()
    return orphaned.is_set()


def _watch_stdin(ended: asyncio.Event) -> None:
    """Set `ended` once nobody holds the other end of stdin. A thread reads, as epoll refuses a stdin that is a file."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile, for another reason
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, name="stdin", daemon=True).start()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


@asynccontextmanager
async def _lab(
    chain: ChainSpec, nodes: Sequence[NodeAddress], listening: Listening, forkserver: ForkServer | None
) -> AsyncIterator[Lab]:
    if nodes:
        lab = await Lab.attach(await located(nodes, listening.token), listening.token)
    else:
        lab = await Lab.start(chain, ports=listening.ports, forkserver=forkserver)
    async with lab:
        yield lab


@asynccontextmanager
async def _control(lab: Lab, listening: Listening, prepare: Prepare | None) -> AsyncIterator[ControlServer]:
    server = ControlServer(
        lab,
        token=listening.token,
        host=listening.control_host,
        port=listening.ports.control,
        allowed_hosts=listening.allowed_hosts,
        prepare=prepare,
    )
    try:
        await server.start()
        yield server
    finally:
        await server.close()


def _claim(state: statefile.LabState) -> None:
    try:
        other = statefile.claim(state)
    except OSError as error:
        # a container without a home: the chain is as good, only the other commands need --control and --token
        click.echo(
            f"badgateway: cannot write {statefile.path()}: {error.strerror}; use --control and --token", err=True
        )
        return
    if other is not None:
        raise EnvironmentProblem(str(other))
