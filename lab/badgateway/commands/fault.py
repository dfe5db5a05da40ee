"""`badgateway fault`: set, list and clear faults in the chain that `badgateway up` keeps running."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from badgateway.chain.errors import InvalidRequest
from badgateway.control.client import connect
from badgateway.inputs.problems import InvalidInput, did_you_mean
from badgateway.inputs.yamltext import parse_yaml
from badgateway.wording import counted
from badgateway_upstream import FAULTS

_C = TypeVar("_C", bound=Callable[..., Any])

TEXTS = frozenset({"path", "method", "header", "session", "instance"})
"""Conditions whose value is a text even if it looks like a number, or like YAML: `header.X-User=1`, `path=*`."""


def control_options(function: _C) -> _C:
    """`--control` and `--token`, for a chain that the state file does not know."""
    token = click.option("--token", metavar="TEXT", help="Its token; else BADGATEWAY_TOKEN.")
    control = click.option(
        "--control", metavar="URL", help="Control API to speak to; else the state file of `badgateway up` says."
    )
    return control(token(function))


def _groups() -> Mapping[str, list[str]]:
    """The kinds by category."""
    groups: dict[str, list[str]] = {}
    for name, fault in FAULTS.items():
        groups.setdefault(fault.category, []).append(name)
    return groups


def _kinds() -> str:
    """The kinds by category, for `--help`."""
    return "\n\n".join(f"{category}: {', '.join(names)}" for category, names in _groups().items())


@click.group(
    epilog="""\b
Examples:
  badgateway fault set app hang --for 30s
  badgateway fault set app-1 crash
  badgateway fault list
  badgateway fault clear
"""
)
def command() -> None:
    """Set, list and clear faults in the running chain. Every fault expires by itself."""


@command.command(
    "set",
    epilog=f"""\b
Examples:
  badgateway fault set app hang --for 10s
  badgateway fault set app-1 crash
  badgateway fault set app latency latency=300ms jitter=100ms --when path=/orders --when method=POST
  badgateway fault set app garbage --when percentage=50 --when seed=7
  badgateway fault set lb freeze --for 5s

Kinds (`badgateway fault kinds KIND` says more). Hops (cdn, lb) take crash, exit and freeze.

{_kinds()}
""",
)
@click.argument("target")
@click.argument("kind")
@click.argument("attributes", metavar="[ATTR=VALUE]...", nargs=-1)
@click.option("--for", "lasts", metavar="DURATION", help="How long: 500ms, 10s, 2m. It always expires; default 1m.")
@click.option(
    "--when",
    "conditions",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only then: path, method, header.NAME, percentage, seed, first, every, session, instance. Repeatable.",
)
@control_options
def set_(
    target: str,
    kind: str,
    attributes: tuple[str, ...],
    lasts: str | None,
    conditions: tuple[str, ...],
    control: str | None,
    token: str | None,
) -> None:
    """Set the fault KIND at TARGET: app (every instance), app-1, lb or cdn."""
    spec: dict[str, object] = {"kind": kind, **_pairs(attributes, "an attribute")}
    if lasts is not None:
        spec["for"] = lasts
    if conditions:
        spec["when"] = _pairs(conditions, "--when", nested=True)
    fault = connect(control, token).set_fault(target, spec)
    click.echo(f"{fault['id']}: {kind} on {target}; {_ends(fault, target)}")
    _show_evidence(fault)


@command.command("list", epilog="\b\nExample:\n  badgateway fault list --json\n")
@click.option("--json", "as_json", is_flag=True, help="As the control API answers.")
@control_options
def list_(as_json: bool, control: str | None, token: str | None) -> None:
    """List the faults that are set, and how often each has fired."""
    faults = connect(control, token).faults()
    if as_json:
        click.echo(json.dumps(faults, indent=2))
        return
    if not faults:
        click.echo("no faults are set")
    for fault in faults:
        what = " ".join([str(fault["kind"]), *_assignments(fault.get("attributes")), *_when(fault.get("when"))])
        click.echo(f"{fault['id']}  {fault['target']}  {what}  fired {counted(fault['fired'], 'time')}, {_left(fault)}")
        _show_evidence(fault)


@command.command("clear", epilog="\b\nExamples:\n  badgateway fault clear\n  badgateway fault clear f-3\n")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@control_options
def clear(ids: tuple[str, ...], control: str | None, token: str | None) -> None:
    """Clear the faults of these ids, or all of them."""
    client = connect(control, token)
    for fault in ids:
        client.clear_fault(fault)
    count = len(ids) if ids else client.clear_faults()
    click.echo(f"{counted(count, 'fault')} cleared")


@command.command("kinds", epilog="\b\nExamples:\n  badgateway fault kinds\n  badgateway fault kinds latency\n")
@click.argument("kind", required=False)
def kinds(kind: str | None) -> None:
    """List the kinds of faults, or the attributes of one. Needs no running chain."""
    if kind is None:
        width = max(map(len, FAULTS))
        for category, names in _groups().items():
            for name in names:
                click.echo(f"{category:<10}  {name:<{width}}  {FAULTS[name].summary}")
        return
    name = kind.replace("-", "_")
    if name not in FAULTS:
        raise InvalidRequest(
            f"no fault {kind!r}; {did_you_mean(kind, FAULTS) or '`badgateway fault kinds` lists them'}"
        )
    for line in _described(name):
        click.echo(line)


def _show_evidence(fault: Mapping[str, Any]) -> None:
    """What the processes say shows that the fault happened to them."""
    for part in fault.get("parts", ()):
        if part.get("evidence"):
            click.echo(f"     {part['node']}: {part['evidence']}")


def _described(name: str) -> Iterable[str]:
    fault = FAULTS[name]
    yield f"{name} ({fault.category}): {fault.summary}"
    if fault.provokes:
        yield f"  seen at the next hop as: {fault.provokes}"
    schema = fault.attributes.model_json_schema()
    for attribute, about in schema.get("properties", {}).items():
        if attribute in {"kind", "id", "for", "when"}:
            continue
        default = "required" if attribute in schema.get("required", ()) else f"default {_plain(about.get('default'))}"
        yield f"  {attribute}: {about['description']} ({default})"


def _plain(default: object) -> str:
    """A default as one would write it on the command line."""
    return default if isinstance(default, str) else json.dumps(default)


def _pairs(words: Iterable[str], what: str, *, nested: bool = False) -> dict[str, Any]:
    """`["latency=300ms", "header.X-User=a"]` as a mapping; values are read as YAML 1.2, those of TEXTS as they are."""
    pairs: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise InvalidRequest(f"{what} is written KEY=VALUE, not {word!r}")
        outer, dot, inner = key.partition(".") if nested else (key, "", "")
        is_text = nested and outer in TEXTS and not text.startswith("[")
        value = text if is_text else _value(key, text)
        if dot:
            pairs.setdefault(outer, {})[inner] = value
        else:
            pairs[outer] = value
    return pairs


def _value(key: str, text: str) -> object:
    try:
        return parse_yaml(text, file=key).value
    except InvalidInput as error:
        raise InvalidRequest(f"{key}: the value {text!r} is no YAML: {error.problems[0].what}") from None


def _assignments(values: object) -> list[str]:
    return [f"{key}={value}" for key, value in values.items()] if isinstance(values, Mapping) else []


def _when(values: object) -> list[str]:
    given = {key: value for key, value in values.items() if value is not None} if isinstance(values, Mapping) else {}
    given |= {f"header.{name}": value for name, value in (given.pop("header", None) or {}).items()}
    return [f"when {' '.join(_assignments(given))}"] if given else []


def _ends(fault: Mapping[str, Any], target: str) -> str:
    """How the fault ends: the dead stay dead until somebody starts them, unless that is part of the fault."""
    dead = [part["node"] for part in fault.get("parts", ()) if "killed" in part["proof"] or "exited" in part["proof"]]
    if dead and not FAULTS[fault["kind"]].respawns:
        return f"{', '.join(dead)} dead until `badgateway restart {target}`"
    return f"{_left(fault)}, or when you say `badgateway fault clear {fault['id']}`"


def _left(fault: Mapping[str, Any]) -> str:
    left = fault.get("expires_in")
    return f"expires in {float(left):.0f} s" if isinstance(left, (int, float)) else f"expires in {left}"
