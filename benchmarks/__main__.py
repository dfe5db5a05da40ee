"""``python -m benchmarks [NAME…]``: measure, print a table, keep every reading under benchmarks/results/."""

from __future__ import annotations

import datetime
import signal
import sys
from pathlib import Path
from types import FrameType, ModuleType
from typing import NoReturn

import click
from rich.console import Console

from benchmarks import body, caching, held, machine, policies, ready, throughput
from benchmarks.figures import FULL, QUICK, Figure, NotMeasurableError, Row, markdown, print_table, write_json

_MODULES: dict[str, ModuleType] = {module.NAME: module for module in (throughput, caching, policies, ready, body, held)}
_RESULTS = Path(__file__).parent / "results"


@click.command(help="Measure the figures that the README quotes. Names: " + ", ".join(_MODULES) + ". No name: all.")
@click.argument("names", nargs=-1, metavar="[NAME]…", type=click.Choice(list(_MODULES)))
@click.option("--quick", is_flag=True, help="Short and rough: shows that everything runs.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the README's table instead.")
@click.option("--results", type=click.Path(path_type=Path), default=_RESULTS, help="Where the JSON goes.")
def main(names: tuple[str, ...], quick: bool, as_markdown: bool, results: Path) -> None:
    """Exit status 0 when every target was met, 1 when one was missed or a benchmark failed."""
    signal.signal(signal.SIGTERM, _stop)  # so that a stage's exit runs and takes its processes along
    log = Console(stderr=True, highlight=False)
    facts = machine.facts()
    figures = []
    for name in dict.fromkeys(names or _MODULES):
        log.print(f"measuring {name}: {_MODULES[name].TITLE} …")
        figures.append(_measure(_MODULES[name], quick))
    stamp = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    path = results / f"{stamp}.json"
    write_json(path, figures, facts)
    if as_markdown:
        click.echo(markdown(figures, facts))
    else:
        print_table(Console(), figures)
    log.print(f"all readings: {path}")
    missed = any(row.held is False for figure in figures for row in figure.rows)
    sys.exit(1 if missed else 0)


def _measure(module: ModuleType, quick: bool) -> Figure:
    try:
        figure: Figure = module.measure(QUICK if quick else FULL)
    except NotMeasurableError as reason:
        row = Row(module.TITLE, f"not measured: {reason}")
    except (RuntimeError, OSError) as error:
        row = Row(module.TITLE, f"failed: {error}", held=False)
    else:
        return figure
    return Figure(module.NAME, module.TITLE, "", [row])


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main()
