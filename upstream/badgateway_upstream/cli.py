"""The command line of one instance: ``python -m badgateway_upstream``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from badgateway_upstream.config import InstanceConfig
from badgateway_upstream.engine.registry import FAULTS, FaultSpec
from badgateway_upstream.numbering import take_name
from badgateway_upstream.running import run_instance
from badgateway_upstream.strict import problems_of

EXIT_USAGE: Final = 2

_OPTIONS: Final = {"default_fault_duration": "fault-duration"}
"""Options that are not named as their setting."""

_EPILOG: Final = """\b
Examples:
  python -m badgateway_upstream --listen 127.0.0.1:9001 --fault '{kind: latency, latency: 300ms, for: 5m}'
  python -m badgateway_upstream --backend http://127.0.0.1:3000 --fault '{kind: truncate, when: {every: 3}}'
  python -m badgateway_upstream --list-faults

\b
A wire script of your own, in a file for --faults (which holds one fault or a list of them):
  - kind: script
    when: {path: "/products*"}
    steps:
      - send: 'HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhalf'
      - pause: 2s
      - reset

Steps: send, pause, drip, read, respond, hang, close, reset. On stdout come JSON events, one a line: "ready" first,
then one "firing" each time a fault happens. Logs go to stderr.

Exit status: 0 stopped by SIGTERM or SIGINT; 2 wrong usage; 3 could not start, such as when a port is in use.
"""


def _address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    del ctx
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is not like 127.0.0.1:9001", param=param)
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def _list_faults(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if value and not ctx.resilient_parsing:
        for fault in FAULTS.values():
            click.echo(f"{fault.name:27}{fault.summary}")
        ctx.exit()


@click.command(context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.option("--name", default="app-1", show_default=True, help="The instance's name.")
@click.option(
    "--numbered",
    metavar="FOLDER",
    help="Instead of --name: app-1, app-2, …, the first that no living instance holds by its file in this folder.",
)
@click.option(
    "--listen",
    callback=_address,
    metavar="HOST:PORT",
    default="127.0.0.1:9001",
    show_default=True,
    help="Where to serve; port 0 takes a free one.",
)
@click.option(
    "--admin",
    callback=_address,
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Where to serve the control API; the line on stdout says which port it got.",
)
@click.option("--admin-host", multiple=True, help="A Host header to allow on the control API; * allows all.")
@click.option("--token-file", help="File with the control API's token; created if absent.")
@click.option("--database", help="SQLite file, which instances may share. Default: a private one.")
@click.option("--backend", help="Relay to this http:// URL, and break its answers instead of the shop's.")
@click.option("--tls", is_flag=True, help="Serve HTTPS.")
@click.option(
    "--authority",
    help="PEM file with the CA certificate and key that sign the certificates; made if absent. Default: a private one.",
)
@click.option("--allow-public", is_flag=True, help="Let --backend be a public address.")
@click.option("--fault", "inline", multiple=True, help="A fault to set at start, as YAML or JSON. Repeatable.")
@click.option("--faults", "files", multiple=True, help="YAML file with a fault, or a list of them. Repeatable.")
@click.option("--files", "folder", help="Folder that scripts may send files from. Default: none.")
@click.option("--fault-duration", help="How long faults last that do not say.  [default: 1m]")
@click.option("--max-fault-duration", help="Refuse faults that would last longer.  [default: 10m]")
@click.option("--boot-delay", help="Wait so long before listening, such as 3s.")
@click.option("--crash-after", help="SIGKILL itself so long after start.")
@click.option("--drain", help="How long SIGTERM waits for requests to finish.  [default: 2s]")
@click.option("--exit-with-stdin", is_flag=True, help="Exit as soon as stdin ends.")
@click.option(
    "--list-faults", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults, help="List all faults."
)
@click.version_option(package_name="badgateway")
def main(
    token_file: str | None, numbered: str | None, inline: tuple[str, ...], files: tuple[str, ...], **options: Any
) -> None:
    """Run one instance of the fake upstream app: a small healthy shop, and the faults you set on it.

    Durations are text such as 250ms, 10s or 2m. Every fault ends by itself.
    """
    problems: list[str] = []
    if numbered is not None:
        try:
            options["name"], _ = take_name(Path(numbered))  # held until this process ends
        except OSError as error:
            problems.append(f"--numbered {numbered}: {error.strerror or error}")
    faults = _faults(inline, files, problems)
    try:
        config = InstanceConfig.model_validate({**_settings(options), "faults": faults})
    except ValidationError as error:
        problems = [_as_option(problem) for problem in problems_of(error)] + problems
    if problems:
        for problem in problems:
            click.echo(f"badgateway_upstream: {problem}", err=True)
        sys.exit(EXIT_USAGE)
    sys.exit(run_instance(config, token_file))


def _as_option(problem: str) -> str:
    """Name the option that a setting comes from; what is about several settings stays as it is."""
    setting, colon, what = problem.partition(": ")
    option = setting.partition(".")[0]
    if not colon or option not in InstanceConfig.model_fields:
        return problem
    return f"--{_OPTIONS.get(option, option.replace('_', '-'))}: {what}"


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    listen, admin = options["listen"], options["admin"]
    settings = {
        "name": options["name"],
        "listen": {"host": listen[0], "port": listen[1]},
        "admin": {"host": admin[0], "port": admin[1], "allowed_hosts": list(options["admin_host"])},
        "allow_public": options["allow_public"],
        "exit_with_stdin": options["exit_with_stdin"],
        "files": options["folder"],
        "database": options["database"],
        "backend": options["backend"],
        "tls": options["tls"],
        "authority": options["authority"],
        "default_fault_duration": options["fault_duration"],
        "max_fault_duration": options["max_fault_duration"],
        "boot_delay": options["boot_delay"],
        "crash_after": options["crash_after"],
        "drain": options["drain"],
    }
    return {name: value for name, value in settings.items() if value is not None}


def _faults(inline: tuple[str, ...], files: tuple[str, ...], problems: list[str]) -> list[FaultSpec]:
    found: list[tuple[str, Any]] = []
    for number, text in enumerate(inline, 1):
        found += [(f"--fault {number}", data) for data in _yaml(text, f"--fault {number}", problems)]
    for name in files:
        try:
            text = Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"--faults {name}: {error}")
            continue
        entries = _yaml(text, name, problems)
        if len(entries) == 1 and isinstance(entries[0], list):
            found += [(f"{name}[{number}]", entry) for number, entry in enumerate(entries[0])]
        else:
            found += [(name, entry) for entry in entries]
    specs = []
    for where, data in found:
        try:
            specs.append(FaultSpec.model_validate(data))
        except ValidationError as error:
            problems += problems_of(error, start=where)
    return specs


def _yaml(text: str, where: str, problems: list[str]) -> list[Any]:
    """Return the one document in ``text``, read by YAML 1.2's rules, in a list; none when it is no YAML."""
    try:
        return [YAML(typ="safe", pure=True).load(text)]
    except YAMLError as error:
        problems.append(f"{where}: is no YAML: {' '.join(str(error).split())}")
        return []
