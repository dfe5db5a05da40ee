"""`badgateway show`: one scenario, its story, chain, steps and lesson."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

import click

from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.yamltext import read_yaml
from badgateway.scenario import catalogue
from badgateway.scenario.causes import Cause, causes_of
from badgateway.scenario.model import load_scenario

WIDTH: Final = 100
"""Columns of a paragraph."""


@click.command(
    epilog="""\b
Examples:
  badgateway show 502/app-crashed
  badgateway show app-crashed
  badgateway show my-scenario.yaml
"""
)
@click.argument("name", metavar="ID|FILE")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the file itself: a start for one of your own.")
def command(name: str, as_yaml: bool) -> None:
    """Show one scenario: what happened, the chain, what is done and expected, and the lesson."""
    paths = catalogue.select([name])
    if len(paths) > 1:
        raise InvalidRequest(f"{name!r} names {len(paths)} scenarios: {', '.join(map(catalogue.id_of, paths))}")
    if as_yaml:
        click.echo(paths[0].read_text(encoding="utf-8"), nl=False)
        return
    scenario = load_scenario(paths[0])
    content = read_yaml(paths[0]).value
    assert isinstance(content, dict), "load_scenario has accepted it"
    for line in _told(catalogue.id_of(paths[0]), content, causes_of(scenario)):
        click.echo(line)


def _told(name: str, content: dict[str, object], causes: Sequence[Cause]) -> Iterator[str]:
    code = content.get("code")
    yield f"{name}: {content['title']}" + (f"  [{code}]" if code else "")
    yield from _paragraph("story", content.get("story"))
    if content.get("chain"):
        yield from _block("chain (what differs from the default)", content["chain"])
    steps = content.get("steps")
    if isinstance(steps, list):
        yield "\nsteps"
        for number, step in enumerate(steps, start=1):
            yield from _step(number, step)
    for part in ("traffic", "timeline", "expect"):
        if isinstance(content.get(part), list):
            yield f"\n{part}"
            yield from (f"  - {inline(entry)}" for entry in _entries(content[part]))
    if causes:
        yield "\nwhat makes it happen (badgateway run --without-cause takes it out)"
        yield from (f"  - {cause.title}" for cause in causes)
    lesson = content.get("lesson")
    if isinstance(lesson, dict):
        for label, text in lesson.items():
            yield from _paragraph(f"lesson: {label}", text)


def _step(number: int, step: object) -> Iterator[str]:
    if not isinstance(step, dict):
        return
    rest = {key: value for key, value in step.items() if key not in {"expect", "note"}}
    yield f"  {number}. {inline(rest)}"
    if step.get("note"):
        yield f"     note: {step['note']}"
    if step.get("expect"):
        yield f"     expect {inline(step['expect'])}"


def _entries(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _paragraph(heading: str, text: object) -> Iterator[str]:
    if not text:
        return
    yield f"\n{heading}"
    for piece in text if isinstance(text, list) else [text]:
        mark = "- " if isinstance(text, list) else ""
        yield from textwrap.wrap(
            str(piece), WIDTH, initial_indent=f"  {mark}", subsequent_indent=f"  {' ' * len(mark)}"
        )


def _block(heading: str, value: object) -> Iterator[str]:
    yield f"\n{heading}"
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield f"  {key}: {inline(inner)}"


def inline(value: object) -> str:
    """A value of a scenario in one line, as one would write it in YAML's flow style: `status: 502, decided_by: lb`."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_nested(inner)}" for key, inner in value.items())
    return _nested(value)


def _nested(value: object) -> str:
    if isinstance(value, dict):
        return "{" + inline(value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_nested, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
