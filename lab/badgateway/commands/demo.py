"""`badgateway demo`: a real chain, broken in ten scenes; exit 0 only if everything came out as it must."""

from __future__ import annotations

import click

from badgateway.demo.scenes import SCENES
from badgateway.demo.show import PlainShow, TerminalShow
from badgateway.demo.stage import run_demo
from badgateway.processes.forkserver import ForkServer
from badgateway.session.interrupts import run_until_interrupted
from badgateway.terminal.screen import console, is_terminal


@click.command(
    epilog="""\b
Examples:
  badgateway demo
  badgateway demo | less         plain lines where there is no terminal
  NO_COLOR=1 badgateway demo
"""
)
@click.pass_obj
def command(forkserver: ForkServer | None) -> int:
    """Break a real chain in ten scenes and say why (under 30 s).

    Starts CDN, LB and two app instances as processes on ephemeral ports, sends real requests, and shows what each
    hop saw and who decided. Exits 0 only if every check held.
    """
    show = TerminalShow(console()) if is_terminal() else PlainShow()
    return run_until_interrupted(run_demo(SCENES, show, forkserver))
