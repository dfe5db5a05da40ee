"""`badgateway record`: write what is done to the running chain as a scenario that does it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.refitting import patched_since
from badgateway.chain.spec import ChainSpec
from badgateway.commands.fault import control_options
from badgateway.control.client import ControlClient, connect
from badgateway.recording.entries import Asked, Order, Recording
from badgateway.recording.listening import EventStream
from badgateway.recording.writing import left_out, scenario_of, yaml_of
from badgateway.scenario.model import parse_scenario
from badgateway.session.exits import Interrupted
from badgateway.wording import counted
from badgateway_proxy import format_duration, parse_duration

BODY_KEPT = 16384
"""Bytes of a request's body."""
_LATE = 0.3
"""Seconds in which the last exchanges' records still come."""


@click.command(
    epilog="""\b
Examples:
  badgateway record incident.yaml              until Ctrl-C; meanwhile send requests, set faults, patch hops
  badgateway record incident.yaml --for 30s
  badgateway run incident.yaml                 does it happen again?
"""
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--for", "lasts", metavar="DURATION", help="Stop by itself after this time, such as 30s.")
@click.option("--title", default="A recorded incident", show_default=True, help="The scenario's title.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@control_options
def command(file: Path, lasts: str | None, title: str, force: bool, control: str | None, token: str | None) -> None:
    """Record what is done to the running chain until Ctrl-C, and write it to FILE as a scenario.

    Faults, changed settings, breaker orders, restarts and the clock become its steps, and so do the requests, with
    what became of them as what must come of them again. What was set, patched or stopped before comes first. Time in
    which nothing happened is an advance of the lab's clock. Cookies and credentials are left out.
    """
    if file.exists() and not force:
        raise InvalidRequest(f"{file} is there already; --force writes over it")
    end = _end(lasts)
    client = connect(control, token)
    chain = client.chain()
    recording = Recording([n["name"] for n in chain["nodes"] if n["kind"] == "hop"], _before(client, chain))
    outermost = recording.hops[0]
    _keep_requests(client, outermost, BODY_KEPT)
    try:
        _collect(client, end, recording)
        recording.fired.update(fault["id"] for fault in client.faults() if fault["fired"])
    finally:
        _keep_requests(client, outermost, None)
    _write(file, recording, title, chain["spec"])


def _keep_requests(client: ControlClient, hop: str, size: int | None) -> None:
    client.call("PATCH", f"hops/{hop}", {"keep_request": size})


def _end(lasts: str | None) -> float:
    try:
        return float("inf") if lasts is None else time.monotonic() + parse_duration(lasts)
    except ValueError as error:
        raise InvalidRequest(f"--for: {error}") from None


def _before(client: ControlClient, told: dict[str, Any]) -> list[Order | Asked]:
    """What had been done already comes first: patches, processes that are down, faults that are set."""
    faults = client.faults()
    struck = {part["node"] for fault in faults if fault["category"] == "process" for part in fault["parts"]}
    steps: list[dict[str, Any]] = [*_patches(client, told)]
    steps += [{"stop": n["name"]} for n in told["nodes"] if n["state"] == "exited" and n["name"] not in struck]
    steps += [
        {"fault": {**_spec(fault), "id": fault["id"], "for": format_duration(fault["expires_in"])}} for fault in faults
    ]
    now = time.time()
    return [Order(now, step) for step in steps]


def _patches(client: ControlClient, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    chain = ChainSpec.model_validate(told["spec"])
    urls = {node["name"]: node["url"] for node in told["nodes"]}
    for node in told["nodes"]:
        if node["name"] in chain.hops and node["state"] == "running":
            live = client.call("GET", f"hops/{node['name']}")
            if patch := patched_since(chain, node["name"], live, urls):
                yield {"patch": {node["name"]: patch}}


def _spec(fault: dict[str, Any]) -> dict[str, Any]:
    when = {"when": fault["when"]} if fault["when"] else {}
    return {"target": fault["target"], "kind": fault["kind"], **fault["attributes"], **when}


def _collect(client: ControlClient, end: float, recording: Recording) -> None:
    """Note what happens, until the time is up or Ctrl-C."""
    with EventStream(client) as events:
        click.echo(f"recording what {recording.hops[0]} is asked and what is done to the chain; Ctrl-C ends it")
        try:
            while (left := end - time.monotonic()) > 0:
                recording.note(events.take(min(left, 1.0)))
        except Interrupted:
            click.echo("", err=True)
        except EOFError as ended:
            raise EnvironmentProblem(f"{ended}, and with it what the hops recorded; nothing was written") from None
        while (event := events.take(_LATE)) is not None:
            recording.note(event)


def _write(file: Path, recording: Recording, title: str, chain: dict[str, Any]) -> None:
    entries = recording.entries
    when = time.strftime("%Y-%m-%d at %H:%M")
    comments = [f"Recorded by badgateway on {when}. Replay it: badgateway run {file.name}"]
    if missing := left_out(entries):
        comments.append(f"Left out of the requests: {', '.join(missing)}.")
    try:
        scenario = scenario_of(entries, recording.outcome, fired=recording.fired, title=title, chain=chain)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    text = yaml_of(scenario, comments)
    parse_scenario(text, file=str(file))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {file}: {error.strerror}") from None
    requests = sum(isinstance(entry, Asked) for entry in entries)
    orders = len(entries) - requests
    click.echo(f"{file}: {counted(requests, 'request')}, {counted(orders, 'order')}; replay: badgateway run {file}")
