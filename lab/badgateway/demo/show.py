"""How `badgateway demo` looks: in plain lines for a pipe, in pictures for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console, Group
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from badgateway.chain.lab import Lab
from badgateway.demo.stage import Check, Result, Scene
from badgateway.terminal import picture, waterfall
from badgateway.terminal.screen import seconds, shortened
from badgateway.terminal.sending import Sent, names_of

NEXT = (
    ("badgateway up", "bring up the same chain and stay"),
    ("badgateway fault set app hang --for 30s", "break it yourself (in a second terminal)"),
    ("badgateway request /products", "and see who decides"),
    ("badgateway run --all", "every scenario, each a failure with its lesson"),
    ("badgateway explain 504", "what a code means, and who sends it"),
)


class PlainShow:
    """Plain lines, no colours, the same facts."""

    def opening(self, lab: Lab, nodes: Sequence[Mapping[str, Any]], elapsed: float) -> None:
        self._names = names_of(nodes)
        click.echo("badgateway demo: see what each hop saw, and who decided")
        click.echo(f"chain up in {seconds(elapsed)}: {_processes(nodes)}")

    def begin(self, number: int, count: int, scene: Scene) -> None:
        click.echo(f"\n[{number}/{count}] {scene.title}")

    def end(self, scene: Scene, result: Result) -> None:
        for done in result.done:
            click.echo(f"  did    {done}")
        if result.shown is not None:
            self._exchange(result.shown, result.nodes)
        for proof in result.proofs:
            click.echo(f"  proof  {proof}")
        held = [check_words(check) for check in result.checks if check.held]
        click.echo(f"  held   {'; '.join(held) or 'nothing'}")
        for check in result.checks:
            if not check.held:
                click.echo(f"  NOT HELD  {check_words(check)}")
        click.echo(f"  why    {scene.why}")

    def _exchange(self, sent: Sent, nodes: Sequence[Mapping[str, Any]]) -> None:
        click.echo(f"  sent   {sent.summary}")
        click.echo(f"  chain  {picture.line(picture.boxes(sent.trace, nodes))}")
        for line in waterfall.lines(sent.trace, self._names):
            click.echo(f"         {line}")

    def closing(self, results: Sequence[Result], elapsed: float) -> None:
        click.echo()
        click.echo(verdict(results, elapsed))
        for number, check in failures(results):
            click.echo(f"  scene {number}: {check_words(check)}")
        click.echo(f"waterfall: {waterfall.LEGEND}")
        for command, what in NEXT:
            click.echo(f"next: {command}  ({what})")


class TerminalShow:
    """Rich: the chain with the deciding hop marked, a waterfall, and one sentence why."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def opening(self, lab: Lab, nodes: Sequence[Mapping[str, Any]], elapsed: float) -> None:
        self._names = names_of(nodes)
        self._screen.print()
        self._screen.print(Text(" badgateway ", style="reverse bold"), "see what each hop saw, and who decided")
        self._screen.print(Text(f"chain up in {seconds(elapsed)}: {_processes(nodes)}", style="dim"))
        self._screen.print(_inset(picture.drawing(picture.boxes(None, nodes))))
        self._screen.print(_inset(waterfall.legend()))

    def begin(self, number: int, count: int, scene: Scene) -> None:
        self._screen.print()
        title = Text.assemble((f" {number}/{count} ", "reverse"), f" {scene.title} ", style="bold")
        self._screen.print(Rule(title, align="left", style="dim"))

    def end(self, scene: Scene, result: Result) -> None:
        for done in result.done:
            self._screen.print(_inset(Text.assemble(("▸ ", "yellow"), done)))
        if result.shown is not None:
            self._exchange(result.shown, result.nodes)
        for proof in result.proofs:
            self._screen.print(_inset(Text(f"proof: {proof}", style="dim")))
        for line in _checks(result.checks, self._screen.width - 4):
            self._screen.print(_inset(line))
        self._screen.print(_inset(Text.assemble(("Why  ", "bold"), scene.why)))

    def _exchange(self, sent: Sent, nodes: Sequence[Mapping[str, Any]]) -> None:
        row = picture.boxes(sent.trace, nodes, request=f"{sent.method} {sent.path}")
        bars = waterfall.drawing(sent.trace, self._names, width=waterfall.fitting(self._screen.width))
        self._screen.print(_inset(Group(picture.drawing(row), bars)))

    def closing(self, results: Sequence[Result], elapsed: float) -> None:
        good = not failures(results)
        self._screen.print()
        self._screen.print(Rule(style="dim"))
        self._screen.print(Text(verdict(results, elapsed), style="bold green" if good else "bold red"))
        for number, check in failures(results):
            self._screen.print(_inset(Text(f"scene {number}: {check_words(check)}", style="red")))
        self._screen.print()
        for command, what in NEXT:
            self._screen.print(Text.assemble("  ", (f"{command:<42}", "bold cyan"), (what, "dim")))


def _inset(content: Any) -> Padding:
    return Padding(content, (0, 0, 0, 2))


def _checks(checks: Sequence[Check], width: int) -> Iterator[Text]:
    """The checks packed into lines of at most `width` columns; no check is broken over two."""
    line = Text()
    for check in checks:
        part = (
            Text.assemble(("✓ ", "green"), (check.what, "dim"))
            if check.held
            else Text.assemble(("✗ ", "bold red"), (check_words(check), "bold red"))
        )
        if line and line.cell_len + 3 + part.cell_len > width:
            yield line
            line = Text()
        line = Text("   ").join([line, part]) if line else part
    if line:
        yield line


def check_words(check: Check) -> str:
    """A check as one line: what had to hold, and what was measured if that says more."""
    if check.held:
        told = check.measured in {"", "None"} or check.measured in check.what
        return check.what if told else f"{check.what}: {shortened(check.measured)}"
    return f"{check.what}, but it was: {check.measured or 'otherwise'}"


def verdict(results: Sequence[Result], elapsed: float) -> str:
    """The last line: how many scenes held, in how many seconds."""
    held = sum(result.held for result in results)
    checks = sum(len(result.checks) for result in results)
    if held == len(results):
        return f"All {held} scenes held ({checks} checks) in {elapsed:.1f} s."
    return f"{len(results) - held} of {len(results)} scenes did NOT hold, in {elapsed:.1f} s:"


def failures(results: Sequence[Result]) -> list[tuple[int, Check]]:
    """Every check that did not hold, with the number of its scene."""
    return [(n, check) for n, result in enumerate(results, start=1) for check in result.checks if not check.held]


def _processes(nodes: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{node['name']} (pid {node['pid']})" for node in nodes)
