"""The generated parts of the documentation, by the name that their marks have. Each comes from what runs."""

from __future__ import annotations

import ast
import asyncio
import inspect
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from badgateway.chain.spec import HOP_DEFAULTS
from badgateway.cli import COMMANDS, cli
from badgateway.scenario import catalogue
from badgateway.scenario.catalogue import ScenarioEntry
from badgateway.terminal.codes import KNOWN_CODES, by_code, heading
from badgateway_proxy import ERROR_TABLE
from badgateway_proxy.admin.metrics import exposition
from badgateway_upstream import FAULTS, FaultType
from tests.support.docs import ROOT
from tests.support.docs.measured import reactions
from tests.support.wire import running_hop

_CATEGORIES: Final = {
    "process": "What happens to the process itself",
    "connection": "What happens to the connection",
    "response": "What is wrong with the response",
    "flow": "How the bytes flow",
    "app": "The app's own failure",
    "dns": "What a DNS server does wrong (aim these at `dns`)",
    "user": "A wire script of your own",
}
_OWN: Final = frozenset(("kind", "id", "for_", "when"))
_WIDTH: Final = 98
"""Columns of help: click leaves two of a terminal's 100 free."""


def generate(what: str) -> str:
    """The Markdown of one generated part, by the words of its mark: `faults`, `file tests/examples/x.py`."""
    name, _, argument = what.partition(" ")
    made = _PARTS[name]
    return made(argument) if argument else made()


def scenarios() -> str:
    """The scenarios by code, names only."""
    rows = [
        (f"[{heading(code)}](docs/catalogue.md#{_anchor(heading(code))})", ", ".join(_link(e, "") for e in members))
        for code, members in by_code(catalogue.entries())
    ]
    return _table(("code", "scenarios"), rows)


def whole_catalogue() -> str:
    """Every scenario with its title and causes, a table for each code."""
    parts = []
    for code, members in by_code(catalogue.entries()):
        rows = [(_link(entry, "../"), _escaped(entry.title), _codes(entry.causes)) for entry in members]
        parts.append(f"## {heading(code)}\n\n{_table(('scenario', 'what happens', 'causes'), rows)}")
    return "\n\n".join(parts)


def _link(entry: ScenarioEntry, up: str) -> str:
    """A link to its file, by its name; `up` leads from the page to the top of the repository."""
    return f"[`{entry.path.stem}`]({up}{entry.path.relative_to(ROOT).as_posix()})"


def _anchor(text: str) -> str:
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def codes() -> str:
    """The status codes that `explain` knows."""
    rows = [
        (
            str(info.code),
            info.name,
            info.sender,
            info.retry,
            info.alert,
            f"{info.section}; registered: {info.registered}",
        )
        for info in KNOWN_CODES.values()
    ]
    return _table(("code", "", "who sends it", "retry?", "alert?", "specified"), rows)


def fault_names() -> str:
    """The faults by category, names only."""
    rows = [(_CATEGORIES[category], _codes(fault.name for fault in faults)) for category, faults in _by_category()]
    return _table(("", "faults"), rows)


def faults() -> str:
    """Every fault with its attributes and what an LB made of it, a table for each category."""
    seen = asyncio.run(reactions())
    parts = []
    for category, members in _by_category():
        rows = [
            (f"`{fault.name}`", fault.summary, "<br>".join(_attributes(fault)), seen.get(fault.name, ""))
            for fault in members
        ]
        table = _table(("fault", "what it does", "attributes", "the LB's answer"), rows)
        parts.append(f"### {_CATEGORIES[category]}\n\n{table}")
    return "\n\n".join(parts)


def errors() -> str:
    """RFC 9209's error types, from the hop's own table."""
    rows = [
        (
            f"`{info.token}`",
            str(info.status or "as fits"),
            f"{info.sentence} {info.cause}",
            info.blame,
            f"`{info.retry_condition}`" if info.retry_condition else "never",
            "yes" if info.breaker else "no",
        )
        for info in ERROR_TABLE.values()
    ]
    return _table(
        (
            "error type",
            "status",
            "what happened, and what usually lies behind it",
            "look at",
            "retried on",
            "breaker counts it",
        ),
        rows,
    )


def elsewhere() -> str:
    """What the error types are called in other gateways."""
    rows = [
        (f"`{info.token}`", info.envoy, _escaped(info.haproxy), info.nginx, info.cloudflare)
        for info in ERROR_TABLE.values()
        if info.envoy or info.haproxy or info.nginx or info.cloudflare
    ]
    return _table(("error type", "Envoy flag", "HAProxy state", "nginx's error log", "Cloudflare"), rows)


def commands() -> str:
    """The help of every command of `badgateway`."""
    names = ("", "demo", "up", "run", "list", "show", "explain", "alerts", "fault", "fault set", "fault list",
             "fault clear", "fault kinds", "restart", "request", "record", "validate", "schema")  # fmt: skip
    assert set(COMMANDS) == {name.partition(" ")[0] for name in names} - {""}, "a command is missing here, or gone"
    return "\n\n".join(
        f"## `badgateway{f' {name}' if name else ''}`\n\n```text\n{_help(name).strip()}\n```" for name in names
    )


def component(module: str) -> str:
    """The help of a component, such as badgateway_proxy."""
    return f"```text\n{_output('-m', module, '--help').strip()}\n```"


def settings() -> str:
    """Every setting of a hop."""
    lines = _output("-m", "badgateway_proxy", "--settings").strip().splitlines()
    rows = []
    for setting, description in zip(lines[::2], lines[1::2], strict=True):
        name, _, default = setting.partition(" (")
        default = default.removesuffix(")").removeprefix("default ")
        rows.append((f"`{name}`", default if default == "required" else f"`{default}`", _escaped(description.strip())))
    return _table(("setting", "default", "what it is for"), rows)


def metrics() -> str:
    """What `GET /metrics` of a hop tells."""
    text = asyncio.run(_metrics())
    rows = []
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, _escaped(family.documentation)))
    return _table(("metric", "type", "what it tells"), rows)


async def _metrics() -> str:
    everything = {
        "cache": {"enabled": True},
        "upstream_limits": {"max_requests": 1},
        "adaptive_concurrency": {"algorithm": "aimd"},
    }
    async with running_hop("127.0.0.1:9", **everything) as hop:
        return exposition(hop.hop.recorder, hop.hop.state(), "")[0].decode()


def chain_defaults() -> str:
    """What the lab's hops are told by default, as a chain would write it."""
    source = {key: dict(value) for key, value in HOP_DEFAULTS.items()}
    lines = [
        line for hop, told in source.items() for line in (f"{hop}:", *(f"  {k}: {_flow(v)}" for k, v in told.items()))
    ]
    return "\n".join(["```yaml", *lines, "app: {instances: 2}", "```"])


def file(path: str) -> str:
    """A file of the repository, as a fenced block."""
    language = {".py": "python", ".yaml": "yaml", ".mjs": "javascript"}[Path(path).suffix]
    return f"```{language}\n{(ROOT / path).read_text(encoding='utf-8').strip()}\n```"


_PARTS: Final[Mapping[str, Callable[..., str]]] = {
    "scenarios": scenarios,
    "catalogue": whole_catalogue,
    "codes": codes,
    "fault-names": fault_names,
    "faults": faults,
    "errors": errors,
    "elsewhere": elsewhere,
    "commands": commands,
    "component": component,
    "settings": settings,
    "metrics": metrics,
    "chain-defaults": chain_defaults,
    "file": file,
}


def _by_category() -> list[tuple[str, list[FaultType[Any]]]]:
    return [(category, [fault for fault in FAULTS.values() if fault.category == category]) for category in _CATEGORIES]


def _attributes(fault: FaultType[Any]) -> Iterable[str]:
    model = fault.attributes
    told = _attribute_docstrings(model)
    fields = {name: field for name, field in model.model_fields.items() if name not in _OWN}
    required = [name for name, field in fields.items() if field.is_required()]
    defaults = {} if required else model.model_validate({"kind": fault.name}).model_dump(mode="json")
    for name in fields:
        default = "required" if name in required else f"default `{_escaped(_yaml(defaults[name]))}`"
        yield f"`{name}`, {default}: {_escaped(' '.join(told.get(name, '').split()))}".removesuffix(": ")


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The text under each attribute of a class, from its source."""
    (tree,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(tree, ast.ClassDef)
    told = {}
    for field, text in itertools.pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            told[field.target.id] = str(ast.literal_eval(text.value))
    return told


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return _yaml(value)


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _help(command: str) -> str:
    """What a command of `badgateway` answers to --help, asked in this process: there are many."""
    words = [*command.split(), "--help"]
    return CliRunner().invoke(cli, words, prog_name="badgateway", terminal_width=_WIDTH, catch_exceptions=False).output


def _output(*arguments: str) -> str:
    environment = {**os.environ, "COLUMNS": str(_WIDTH + 2), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True
    ).stdout


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
