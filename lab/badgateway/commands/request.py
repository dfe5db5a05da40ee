"""`badgateway request`: one request through the running chain, its picture and waterfall, who decided and why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.padding import Padding
from rich.text import Text

from badgateway.chain.errors import InvalidRequest
from badgateway.chain.traces import Trace
from badgateway.commands.fault import control_options
from badgateway.control.client import connect
from badgateway.inputs.problems import did_you_mean
from badgateway.running.answer import Answer
from badgateway.running.probe import send
from badgateway.session.exits import HELD
from badgateway.terminal import picture, waterfall
from badgateway.terminal.reasons import why
from badgateway.terminal.screen import console, is_terminal
from badgateway.terminal.sending import NOTHING, Sent, names_of

TOLD = ("proxy-status", "retry-after", "via", "content-type", "content-length", "x-request-id")
"""The response headers worth a line."""


@click.command(
    epilog="""\b
Examples:
  badgateway request /products
  badgateway request POST /orders -d '{"product_id": 1, "quantity": 1}' -H 'Content-Type: application/json'
  badgateway request /products --to lb
  badgateway request /products --json | jq .decided_by
"""
)
@click.argument("words", metavar="[METHOD] PATH", nargs=-1, required=True)
@click.option("--to", default="cdn", metavar="NAME", help="Where it enters: cdn, lb, or an instance such as app-1.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header. Repeatable.")
@click.option("-d", "--data", metavar="TEXT", help="A body; the method is then POST unless given.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="The client's own patience.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer and trace as JSON.")
@control_options
def command(
    words: tuple[str, ...],
    to: str,
    headers: tuple[str, ...],
    data: str | None,
    timeout: float,
    as_json: bool,
    control: str | None,
    token: str | None,
) -> int:
    """Send one request through the running chain, and show what each hop saw and who decided.

    Exits 0 whatever the answer: a 502 is what one came to see.
    """
    method, path = _method_and_path(words, "GET" if data is None else "POST")
    client = connect(control, token)
    nodes = client.chain()["nodes"]
    url = _url_of(nodes, to)
    body = None if data is None else data.encode()
    try:
        answer = asyncio.run(send(url, method, path, [_header(text) for text in headers], body, timeout))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    found = client.exchanges(answer.request_id)
    nodes = client.chain()["nodes"]  # again: the request may have been a process's last
    sent = Sent(method, path, answer, Trace(**found[0]) if found else NOTHING)
    if as_json:
        click.echo(json.dumps(_as_json(sent), indent=2))
    elif is_terminal():
        _draw(sent, nodes)
    else:
        _print(sent, nodes)
    return HELD


def _method_and_path(words: Sequence[str], default: str) -> tuple[str, str]:
    method, path = (words[0].upper(), words[1]) if len(words) == 2 else (default, words[0])
    if len(words) > 2 or not path.startswith("/"):
        raise InvalidRequest(f"write a request as `/products` or `GET /products`, not {' '.join(words)!r}")
    return method, path


def _url_of(nodes: Sequence[Mapping[str, Any]], to: str) -> str:
    urls = {str(node["name"]): str(node["url"]) for node in nodes}
    if to not in urls:
        raise InvalidRequest(f"--to: nothing in the chain is called {to!r}; {did_you_mean(to, urls)}")
    return urls[to]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidRequest(f"-H: a header is written 'NAME: VALUE', not {text!r}")
    return name.strip(), value.strip()


def _told_headers(answer: Answer) -> list[str]:
    return [f"{name}: {value}" for name, value in answer.headers if name.lower() in TOLD]


def _print(sent: Sent, nodes: Sequence[Mapping[str, Any]]) -> None:
    click.echo(sent.summary)
    for line in _told_headers(sent.answer):
        click.echo(f"  {line}")
    if sent.trace.hops:
        click.echo(picture.line(picture.boxes(sent.trace, nodes)))
    for line in waterfall.lines(sent.trace, names_of(nodes)):
        click.echo(f"  {line}")
    click.echo(why(sent.trace))


def _draw(sent: Sent, nodes: Sequence[Mapping[str, Any]]) -> None:
    screen = console()
    screen.print(Text(sent.summary, style=f"bold {picture.status_style(sent.answer.status)}"))
    for line in _told_headers(sent.answer):
        name, _, value = line.partition(": ")
        screen.print(Text.assemble((f"  {name}: ", "dim"), (value, "bold" if name.lower() == "proxy-status" else "")))
    if sent.trace.hops:
        row = picture.boxes(sent.trace, nodes, request=f"{sent.method} {sent.path}")
        screen.print(Padding(picture.drawing(row), (1, 0, 1, 2)))
        bars = waterfall.drawing(sent.trace, names_of(nodes), width=waterfall.fitting(screen.width))
        screen.print(Padding(bars, (0, 0, 1, 2)))
    screen.print(Text(why(sent.trace), style="bold"))


def _as_json(sent: Sent) -> dict[str, object]:
    answer = sent.answer
    return {
        "request": f"{sent.method} {sent.path}",
        "status": answer.status,
        "failure": answer.failure,
        "truncated": answer.truncated,
        "elapsed": round(answer.elapsed, 6),
        "headers": [list(header) for header in answer.headers],
        "body": answer.body.decode("utf-8", "backslashreplace"),
        "decided_by": sent.trace.decided_by,
        "error": sent.trace.error,
        "why": why(sent.trace),
        "trace": sent.trace.to_json(),
    }
