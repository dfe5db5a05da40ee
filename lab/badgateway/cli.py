"""The command line: names the commands, loads the one asked for, and turns every way of ending into an exit code.

Nothing but click is imported until a command is chosen: `badgateway --help` answers at once. A command that brings
up a chain gets its fork server started *before* its own modules are imported, so that both imports run at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.inputs.problems import InvalidInput, did_you_mean
from badgateway.session.exits import BROKEN_PIPE, ENVIRONMENT, INTERRUPTED, USAGE, Interrupted


class Entry(NamedTuple):
    """One command: where it lives, its one line in `--help`, and whether it brings up a chain of its own."""

    module: str
    summary: str
    starts_chain: bool = False


COMMANDS: dict[str, Entry] = {
    "demo": Entry("demo", "Break a real chain in ten scenes and say why (under 30 s).", starts_chain=True),
    "up": Entry("up", "Bring up the chain CDN → LB → app and stay.", starts_chain=True),
    "run": Entry("run", "Run scenarios; exit 1 if an expectation failed.", starts_chain=True),
    "list": Entry("list", "List the scenarios."),
    "show": Entry("show", "Show one scenario: story, steps, lesson."),
    "explain": Entry("explain", "Explain a status code or an error type."),
    "alerts": Entry("alerts", "List the alerts that scenarios judge; export them for Prometheus."),
    "fault": Entry("fault", "Set, list and clear faults in the running chain."),
    "restart": Entry("restart", "Start dead processes again, or put everything back as it was."),
    "request": Entry("request", "Send one request through the running chain; see who decided."),
    "record": Entry("record", "Write what is done to the running chain as a scenario."),
    "validate": Entry("validate", "Check scenario files without starting anything."),
    "schema": Entry("schema", "Print the JSON schema of scenario files."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when chosen; `--help` is written from `COMMANDS` alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `badgateway.commands.<module>` and return its `command`; None for an unknown name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"badgateway.commands.{entry.module}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but starts the fork server first where it will be needed, and guesses at misspelt names."""
        entry = COMMANDS.get(args[0]) if args else None
        if entry is None and args and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS)
            ctx.fail(f"no command {args[0]!r}; {hint or '`badgateway --help` lists them'}")
        if entry is not None and entry.starts_chain and not _needs_no_chain(args):
            _start_fork_server(ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


EXAMPLES = """\b
Examples:
  badgateway demo                        see ten scenes, seven of them failures, and who decided
  badgateway up                          bring up the chain on 8080, 8081, 9001…; Ctrl-C ends it
  badgateway fault set app hang --for 30s
  badgateway request /products           one request through it: picture and waterfall
  badgateway run 502 504                 run the scenarios of these codes
  badgateway explain 504
"""

EXIT_CODES = """\b
Exit codes: 0 all held · 1 an expectation failed · 2 usage or scenario invalid ·
3 environment (port taken, child died, no chain running) · 130 interrupted
"""


def _needs_no_chain(args: Sequence[str]) -> bool:
    """Help, and a chain that runs already, need no fork server."""
    return any(arg in {"-h", "--help"} or arg.partition("=")[0] == "--attach" for arg in args)


def _start_fork_server(ctx: click.Context) -> None:
    """Launch it, hand it to the command as `ctx.obj`, and have it ended with the command, however that ends."""
    from badgateway.processes.forkserver import ForkServer  # noqa: PLC0415  (asyncio: only commands with a chain pay for it)

    forkserver = ForkServer.launch()
    ctx.obj = forkserver
    ctx.call_on_close(forkserver.close_now)


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # noqa: PLC0415  (20 ms that only --version should pay)

    click.echo(f"badgateway {version('badgateway')}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    epilog=f"{EXAMPLES}\n{EXIT_CODES}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version and exit."
)
def cli() -> None:
    """A chain of real gateways, CDN → LB → app, that you break on purpose.

    Every 502, 503 and 504 it shows really happened, and every hop says who decided and why.
    """


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; messages have been printed. Never raises but in debug mode."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        code = cli.main(args=argv, prog_name="badgateway", standalone_mode=False)
    except (KeyboardInterrupt, Interrupted, click.Abort):
        return INTERRUPTED
    except SystemExit:
        # in this mode click leaves so only for a broken pipe, with 1: which here means that an expectation failed
        return _reader_left()
    except Exception as error:  # noqa: BLE001  (the outermost boundary: a user never sees a traceback unasked)
        return _report(error)
    return code if isinstance(code, int) else 0


def _report(error: Exception) -> int:
    """Say what went wrong on stderr, and return the exit code for it."""
    match error:
        case click.ClickException():
            error.show()
            return error.exit_code
        case InvalidInput():
            click.echo(str(error), err=True)
            return USAGE
        case InvalidRequest():
            click.echo(f"badgateway: {error}", err=True)
            return USAGE
        case EnvironmentProblem():
            click.echo(f"badgateway: {_without_traceback(str(error))}", err=True)
            return ENVIRONMENT
    if os.environ.get("BADGATEWAY_DEBUG"):
        raise error
    words = " ".join(f"{type(error).__name__}: {error}".split())
    click.echo(f"badgateway: unexpected {words}; run with BADGATEWAY_DEBUG=1 for the traceback", err=True)
    return ENVIRONMENT


def _without_traceback(text: str) -> str:
    """A child's last words may hold its traceback; a person gets what it ends with."""
    before, mark, after = text.partition("Traceback (most recent call last)")
    if not mark or os.environ.get("BADGATEWAY_DEBUG"):
        return text
    return f"{before.rstrip()} {after.rstrip().splitlines()[-1]} (BADGATEWAY_DEBUG=1 shows the traceback)"


def _never_fail_to_encode(stream: Any) -> None:
    """A terminal or pipe that knows no `→` gets a `?`, not a traceback."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


def _reader_left() -> int:
    """Nobody reads on: give the interpreter's last flush somewhere harmless to go."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return BROKEN_PIPE
