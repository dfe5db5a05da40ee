"""`badgateway up`: bring up the chain and stay, with the control API for the other commands."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from badgateway.chain.attaching import node_of
from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.chain.spec import MAX_INSTANCES, merge
from badgateway.control import statefile
from badgateway.control.client import TOKEN_VARIABLE
from badgateway.inputs.chainfile import load_chain
from badgateway.processes.forkserver import ForkServer
from badgateway.processes.ports import Ports
from badgateway.running.preparing import preparation_of
from badgateway.scenario import catalogue
from badgateway.scenario.model import Scenario, load_scenario
from badgateway.session.announcing import AsJson, AsText
from badgateway.session.exits import HELD
from badgateway.session.interrupts import run_until_interrupted
from badgateway.session.staying import Listening, Stay, stay
from badgateway_upstream import is_near

PORT = click.IntRange(0, 65535)


@click.command(
    epilog="""\b
Examples:
  badgateway up
  badgateway up --instances 3 --chain chain.yaml
  badgateway up --backend http://127.0.0.1:3000      break your own service's answers
  badgateway up --scenario 502/app-crashed           as that scenario breaks it
  badgateway up --free-ports --ready-file lab.json   for a program: any free ports, which the file tells
  badgateway up --attach cdn=http://cdn:9500 --attach lb=http://lb:9500 --attach app-1=http://app-1:9500

Ctrl-C (or SIGTERM) ends the chain in order. A port 0 takes any free one.
"""
)
@click.option("--cdn-port", type=PORT, default=8080, show_default=True, help="Where the CDN listens.")
@click.option("--lb-port", type=PORT, default=8081, show_default=True, help="Where the LB listens.")
@click.option("--app-port", type=PORT, default=9001, show_default=True, help="Where app-1 listens; app-2 on the next.")
@click.option("--control-port", type=PORT, default=8500, show_default=True, help="Where the control API listens.")
@click.option("--cdn-host", default="127.0.0.1", show_default=True, help="Address of the CDN: 0.0.0.0 in a container.")
@click.option("--control-host", default="127.0.0.1", show_default=True, help="Address of the control API.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Host name the control API answers to.")
@click.option("--instances", type=click.IntRange(1, MAX_INSTANCES), help="App instances; 2 unless the chain says.")
@click.option(
    "--backend", metavar="URL", help="A real service behind the apps: they relay to it, and break its answers."
)
@click.option("--allow-public", is_flag=True, help="Let --backend be a public address.")
@click.option(
    "--chain",
    "chain_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML: what differs from the default chain (cdn, lb, app).",
)
@click.option(
    "--attach",
    metavar="NAME=ADMIN_URL[,URL]",
    multiple=True,
    help="Use a hop or instance that runs already; URL: where it listens.",
)
@click.option("--scenario", metavar="ID|FILE", help="Bring up that scenario's chain, with what breaks it done.")
@click.option("--free-ports", is_flag=True, help="Any free port for each whose option is not given.")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what --json prints first to this file, once all is ready. The other commands do not find the chain.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: one when ready, then one per event.")
@click.option("--quiet", is_flag=True, help="Print no events.")
@click.option("--exit-with-stdin", is_flag=True, help="End when stdin does, so that nothing outlives a parent.")
@click.option("--token", metavar="TEXT", envvar=TOKEN_VARIABLE, help="Token of the control API; random by default.")
@click.pass_obj
def command(
    forkserver: ForkServer | None,
    cdn_port: int,
    lb_port: int,
    app_port: int,
    control_port: int,
    cdn_host: str,
    control_host: str,
    hosts: tuple[str, ...],
    instances: int | None,
    backend: str | None,
    allow_public: bool,
    chain_file: Path | None,
    attach: tuple[str, ...],
    scenario: str | None,
    free_ports: bool,
    ready_file: Path | None,
    as_json: bool,
    quiet: bool,
    exit_with_stdin: bool,
    token: str | None,
) -> int:
    """Bring up the chain CDN → LB → app and stay until Ctrl-C.

    Prints where everything listens and the control API's token, then one line per event. The other commands find
    the chain by its state file.
    """
    nodes = [node_of(word) for word in attach]
    if attach and (backend or chain_file or instances or scenario):
        raise InvalidRequest(
            "--attach uses processes that run already; --chain, --scenario, --instances and --backend start new ones"
        )
    if scenario and chain_file:
        raise InvalidRequest("a scenario has a chain of its own; give --scenario or --chain, not both")
    if attach and not token:
        raise InvalidRequest(f"--attach needs the token of those processes: --token, or {TOKEN_VARIABLE}")
    if backend is not None and not allow_public:
        _refuse_public(backend)
    told = _scenario(scenario) if scenario is not None else None
    differing = {"instances": instances, "backend": backend}
    overrides = {"app": {key: value for key, value in differing.items() if value is not None}}
    chain = load_chain(chain_file, merge(told.written_chain if told is not None else {}, overrides))
    if ready_file is None:
        _refuse_second()
    given = {"cdn_port": cdn_port, "lb_port": lb_port, "app_port": app_port, "control_port": control_port}
    cdn, lb, app, control = (0 if free_ports and not _is_given(name) else port for name, port in given.items())
    ports = Ports(cdn, lb, app, control, cdn_host=cdn_host)
    if not nodes and (why := ports.wanted_twice(chain.app.instances)) is not None:
        raise InvalidRequest(why)
    listening = Listening(
        ports, control_host=control_host, allowed_hosts=hosts, token=token or secrets.token_urlsafe(24)
    )
    how = Stay(
        AsJson(narrates=not quiet) if as_json else AsText(narrates=not quiet),
        ready_file,
        preparation_of(told) if told is not None else None,
        exit_with_stdin,
    )
    run_until_interrupted(stay(chain, nodes, listening, how, forkserver))
    return HELD


def _is_given(parameter: str) -> bool:
    """Whether the user wrote that option, its default or not."""
    return click.get_current_context().get_parameter_source(parameter) is not ParameterSource.DEFAULT


def _scenario(word: str) -> Scenario:
    found = catalogue.select([word])
    if len(found) != 1:
        raise InvalidRequest(f"--scenario takes one scenario; {word!r} names {len(found)}")
    return load_scenario(found[0])


def _refuse_public(backend: str) -> None:
    """Faults are for one's own services: a backend must be loopback or private unless the user insists."""
    host = urlsplit(backend).hostname
    if not host:
        raise InvalidRequest(f"--backend {backend!r} is not of the form http://127.0.0.1:3000")
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise EnvironmentProblem(f"--backend: {host} cannot be resolved: {error.strerror or error}") from None
    public = sorted(address for address in found if not is_near(address))
    if public:
        raise InvalidRequest(
            f"--backend: {host} is at {public[0]}, which is neither loopback nor private; break only what is yours, "
            "and say so with --allow-public"
        )


def _refuse_second() -> None:
    other = statefile.running()
    if other is not None:
        raise EnvironmentProblem(str(other))
