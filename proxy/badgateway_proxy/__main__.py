"""``python -m badgateway_proxy``: one hop from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from badgateway_proxy import run_hop
from badgateway_proxy.admin.tokens import TokenError
from badgateway_proxy.configuration.config import (
    ConfigError,
    ConfigProblem,
    HopConfig,
    load_config,
    parse_yaml,
    public_view,
    read_yaml,
)

EXIT_USAGE: Final = 2
EXIT_ENVIRONMENT: Final = 3

_EPILOG: Final = """\b
Examples:
  One gateway in front of a service of yours, impatient:
    python -m badgateway_proxy --listen 127.0.0.1:8081 \\
      --upstream 127.0.0.1:3000 --set timeouts.first_byte=1s
  Two instances, a failed GET tried once more on the other:
    python -m badgateway_proxy --upstream 127.0.0.1:9001 \\
      --upstream 127.0.0.1:9002 --set retry.attempts=2
  The same from a file, one setting changed:
    python -m badgateway_proxy --config lb.yaml --set breaker.open_for=5s

\b
Who decided? Look at the Proxy-Status header of any response:
    curl -si http://127.0.0.1:8081/ | grep -i proxy-status

\b
Exit status: 0 stopped as asked, 2 the configuration is wrong (every problem is
named, nothing was started), 3 a port is taken (it says by whom).
"""


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """The parts of ``HOST:PORT`` or ``[IPV6]:PORT``, as a section has them; ranges are checked with the rest."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit() and len(port) <= 9):
        hint = f"{value!r} is no address; write it as 127.0.0.1:8081 (port 0 takes a free one)"
        raise click.BadParameter(hint, ctx, param)
    return {"host": host, "port": int(port)}


@click.command(
    "badgateway_proxy",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.option("--name", metavar="NAME", help="What the hop calls itself in Via and Proxy-Status.")
@click.option("--tier", metavar="TIER", help="Its place in the chain: cdn, lb or proxy.")
@click.option(
    "--listen",
    callback=_address,
    metavar="HOST:PORT",
    help="Where clients connect; port 0 takes a free one.  [default: 127.0.0.1:8080]",
)
@click.option(
    "--admin",
    callback=_address,
    metavar="HOST:PORT",
    help="Where the admin API listens.  [default: 127.0.0.1:0, a free port]",
)
@click.option(
    "--upstream",
    "upstreams",
    metavar="URL",
    multiple=True,
    help="Where to send: http://127.0.0.1:9001 or https://… Repeat for more; they take turns.",
)
@click.option(
    "--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="Settings in YAML; options override them."
)
@click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    help="One setting by its path, such as timeouts.first_byte=1s. Repeat for more; overrides everything else.",
)
@click.option(
    "--token-file", metavar="FILE", help="The admin API's token; made, for its owner only, if it is not there."
)
@click.option("--exit-with-stdin", is_flag=True, help="Exit at once when stdin ends, so as not to outlive a parent.")
@click.option("--check", is_flag=True, help="Print the whole configuration as JSON, start nothing.")
@click.option("--settings", is_flag=True, help="List every setting, its default and what it is for.")
def main(
    *,
    file: Path | None,
    assignments: Sequence[str],
    check: bool,
    settings: bool,
    **options: Any,
) -> None:
    """One HTTP gateway that says why it failed.

    It sends what clients send to an upstream and, when that goes wrong, answers 502, 503 or 504 with the reason
    in Proxy-Status (RFC 9209). It prints one JSON line on stdout when it is ready, and logs JSON on stderr.
    """
    if settings:
        from badgateway_proxy.configuration.settings_help import settings_help  # noqa: PLC0415 - only needed here

        click.echo(settings_help())
        return
    try:
        config = build_config(file, options, assignments)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        click.echo("Nothing was started. --settings lists every setting.", err=True)
        sys.exit(EXIT_USAGE)
    if check:
        click.echo(json.dumps(public_view(config), indent=2))
        return
    try:
        status = run_hop(config)
    except TokenError as error:
        click.echo(f"error: {error}", err=True)
        status = EXIT_ENVIRONMENT
    sys.exit(status)


def build_config(file: Path | None, options: Mapping[str, Any], assignments: Sequence[str]) -> HopConfig:
    """Return the configuration: the file's, overridden by options, overridden by ``--set``.

    Raises `ConfigError` with all problems of all three.
    """
    settings = read_yaml(file) if file is not None else {}
    problems: list[ConfigProblem] = []
    for path, value in (*_from_options(options), *_from_assignments(assignments, problems)):
        _put(settings, path, value, problems)
    try:
        config = load_config(settings)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    if problems:
        raise ConfigError(problems)
    return config


def _from_options(options: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Paths and values of the options that were given."""
    for name in ("name", "tier"):
        if options.get(name) is not None:
            yield name, options[name]
    for section in ("listen", "admin"):
        for key, value in (options.get(section) or {}).items():
            yield f"{section}.{key}", value
    if options.get("token_file") is not None:
        yield "admin.token_file", options["token_file"]
    if options.get("upstreams"):
        yield "upstreams", list(options["upstreams"])
    if options.get("exit_with_stdin"):
        yield "exit_with_stdin", True


def _from_assignments(assignments: Sequence[str], problems: list[ConfigProblem]) -> Iterator[tuple[str, object]]:
    """Paths and values of ``--set``; what cannot be read goes to ``problems``."""
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.strip().split(".")):
            problems.append(ConfigProblem("", f"--set {assignment}: write it as timeouts.first_byte=1s"))
            continue
        try:
            value = parse_yaml(text, f"--set {path}")
        except ConfigError as error:
            problems.extend(error.problems)
        else:
            yield path.strip(), value


def _put(settings: dict[str, Any], path: str, value: object, problems: list[ConfigProblem]) -> None:
    *sections, last = path.split(".")
    target: Any = settings
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            problems.append(ConfigProblem(path, f"{section} is not a mapping of settings"))
            return
    target[last] = value


if __name__ == "__main__":
    main()
