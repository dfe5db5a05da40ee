"""An instance as a process of its own: from its start to its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Final

from badgateway_upstream.config import InstanceConfig
from badgateway_upstream.control.access import find_token
from badgateway_upstream.engine.book import RefusedError
from badgateway_upstream.events import EventWriter, log_to_stderr
from badgateway_upstream.instance import Instance, PortTakenError

EXIT_USAGE: Final = 2
EXIT_ENVIRONMENT: Final = 3


def run_instance(config: InstanceConfig, token_file: str | None = None) -> int:
    """Run an instance until SIGTERM or SIGINT; return the exit status.

    0: stopped; 2: a configured fault cannot be set; 3: it could not start, such as when a port is in use.
    Blocks; makes its own event loop. Says on stdout when it is ready, and each time a fault fires.
    """
    log_to_stderr(config.name)
    if config.exit_with_stdin:
        threading.Thread(target=_exit_with_stdin, name="stdin", daemon=True).start()
    try:
        return asyncio.run(_main(config, token_file))
    except RefusedError as error:
        print(f"{config.name}: faults: {error}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return EXIT_USAGE
    except (PortTakenError, OSError, sqlite3.Error, ValueError) as error:
        print(f"{config.name}: {error}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return EXIT_ENVIRONMENT


async def _main(config: InstanceConfig, token_file: str | None) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if config.boot_delay:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(config.boot_delay):
                await stopping.wait()
                return 0
    token, invented = find_token(config.admin.token, Path(token_file) if token_file else None)
    instance = Instance(config, EventWriter().write, token)
    await instance.start()
    if invented:
        print(f"{config.name}: admin token: {token}", file=sys.stderr)  # noqa: T201 - shown once
    instance.ready()
    if config.crash_after is not None:
        loop.call_later(config.crash_after, instance.process.kill)
    await stopping.wait()
    await instance.stop(config.drain)
    return 0


def _exit_with_stdin() -> None:
    """Exit as soon as stdin ends: whoever started us is gone, and nothing may outlive it."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(0)
