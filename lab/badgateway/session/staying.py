"""The chain of `badgateway up` while it lives: brought up, announced, watched, and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from badgateway.chain.attaching import located
from badgateway.chain.errors import EnvironmentProblem
from badgateway.chain.lab import Lab
from badgateway.chain.nodes import NodeAddress
from badgateway.chain.spec import ChainSpec
from badgateway.control import statefile
from badgateway.control.server import ControlServer
from badgateway.processes.forkserver import ForkServer
from badgateway.processes.ports import Ports, Reservations
from badgateway.terminal import picture
from badgateway.terminal.eventlines import Line, Throttle, line_of
from badgateway.terminal.screen import console, is_terminal

TRY: Final = (
    ("badgateway request /products", "see what each hop saw, and who decided"),
    ("badgateway fault set app hang --for 30s", "break it; then send the request again"),
    ("badgateway explain 504", "what it means, and who sends it"),
)


@dataclass(frozen=True)
class Listening:
    """Where everything listens, and the control API's token."""

    ports: Ports
    control_host: str
    allowed_hosts: Sequence[str]
    token: str


async def stay(
    chain: ChainSpec, nodes: Sequence[NodeAddress], listening: Listening, forkserver: ForkServer | None
) -> NoReturn:
    """Bring the chain up (or attach to `nodes`), serve the control API, and print events until cancelled.

    Raises:
        EnvironmentProblem: a port is taken, another chain runs, or the chain's processes were lost.
    """
    # asked first: a chain should not come up only to be told that nobody can control it
    held = Reservations(listening.control_host)
    try:
        held.take(listening.ports.control, option="--control-port")
    finally:
        held.close()
    async with _lab(chain, nodes, listening, forkserver) as lab, _control(lab, listening) as control:
        state = statefile.this_process(control.url, listening.token)
        _claim(state)
        try:
            events = lab.events()
            await _announce(lab, control, listening.token)
            await _until_lost(_narrate(events), forkserver)
            raise EnvironmentProblem(lab.failure or "the chain ended by itself")
        finally:
            statefile.release(state)
            click.echo("closing the chain", err=True)


async def _until_lost(telling: Coroutine[Any, Any, None], forkserver: ForkServer | None) -> None:
    """Await `telling`, but no longer than the fork server lives: every process of the chain dies with it."""
    lost = asyncio.Event()
    forget = forkserver.on_lost(lost.set) if forkserver is not None else None
    tasks = {asyncio.create_task(telling), asyncio.create_task(_wait(lost))}
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
async def _control(lab: Lab, listening: Listening) -> AsyncIterator[ControlServer]:
    server = ControlServer(
        lab,
        token=listening.token,
        host=listening.control_host,
        port=listening.ports.control,
        allowed_hosts=listening.allowed_hosts,
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


async def _announce(lab: Lab, control: ControlServer, token: str) -> None:
    nodes = (await lab.describe())["nodes"]
    facts = [*((str(node["name"]), _where(node)) for node in nodes), ("control", f"{control.url}  token {token}")]
    row = picture.boxes(None, nodes)
    if is_terminal():
        screen = console()
        screen.print(Padding(picture.drawing(row), (1, 0, 1, 2)))
        _table(screen, facts)
        screen.print()
        _table(screen, TRY)
        screen.print(Text("\n  Ctrl-C ends it.\n", style="dim"))
        return
    click.echo(picture.line(row))
    for name, what in facts:
        click.echo(f"{name:<8} {what}")
    for command, what in TRY:
        click.echo(f"try: {command}  ({what})")
    click.echo("ready")


def _where(node: Mapping[str, Any]) -> str:
    pid = f"pid {node['pid']}" if node.get("pid") else ""
    return f"{node['url']}  {pid}".rstrip()


def _table(screen: Console, rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(left) for left, _ in rows)
    for left, right in rows:
        screen.print(Text.assemble("  ", (f"{left:<{width}}", "bold cyan"), "  ", right), soft_wrap=True)


async def _narrate(events: AsyncIterator[Any]) -> None:
    """One line per event, until there are no more."""
    throttle = Throttle()
    screen = console() if is_terminal() else None
    async for event in events:
        line = line_of(event)
        shown, held_back = throttle.admit(line.time)
        if held_back:
            _say(screen, Line(line.time, "…", f"and {held_back} more events in that second"))
        if shown:
            _say(screen, line)


def _say(screen: Console | None, line: Line) -> None:
    if screen is None:
        click.echo(str(line))
    else:
        screen.print(Text(str(line), style=line.style), soft_wrap=True)
