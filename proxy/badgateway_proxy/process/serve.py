"""The life of a hop's process: listeners, the ready line, signals, the drain at the end."""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator

from aiohttp import web

from badgateway_proxy.admin.api import make_admin_app
from badgateway_proxy.configuration.config import HopConfig
from badgateway_proxy.hop import Hop
from badgateway_proxy.process import jsonlog, portowner
from badgateway_proxy.transport.gateway_server import GatewayServer
from badgateway_proxy.transport.sockets import address_text
from badgateway_proxy.transport.tls_contexts import client_context
from badgateway_proxy.transport.tls_front import TlsFront

EXIT_OK, EXIT_ENVIRONMENT = 0, 3

#: Connections waiting to be accepted: as nginx's default on Linux (511), rounded up.
_BACKLOG = 1024


class CannotListen(Exception):
    """An address cannot be listened on; the text says why and, where it is in use, by whom."""


def run_hop(config: HopConfig) -> int:
    """Run one hop until SIGTERM, SIGINT, or (if configured so) the end of standard input.

    Prints one JSON line on stdout when ready: `{"event": "ready", "name", "pid", "listen", "admin"}`. Logs JSON
    lines on stderr.

    Returns:
        The exit status: 0 after an orderly end, 3 when an address cannot be listened on.
    """
    jsonlog.configure()
    _raise_descriptor_limit()
    gc.collect()
    gc.freeze()
    # Requests make few reference cycles; looking for them seldomer is a tenth of the time of a small exchange.
    gc.set_threshold(20_000, 20, 20)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(config))
    except CannotListen as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 - a human's line, before there is any log
        return EXIT_ENVIRONMENT
    return EXIT_OK


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def gateway_server(hop: Hop) -> GatewayServer:
    """The protocol factory that makes a hop's client connections."""
    return GatewayServer(hop)


async def _serve(config: HopConfig) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    hop = Hop(config)
    server = gateway_server(hop)
    host, port = config.listen.host, config.listen.port
    with _naming_the_holder(host, port):
        listener = await loop.create_server(connection_factory(hop, server), host, port, backlog=_BACKLOG)
    admin = web.AppRunner(make_admin_app(hop), access_log=None, shutdown_timeout=1.0)
    await admin.setup()
    try:
        site = web.TCPSite(admin, config.admin.host, config.admin.port)
        with _naming_the_holder(config.admin.host, config.admin.port):
            await site.start()
        ready = {
            "event": "ready",
            "name": config.name,
            "pid": os.getpid(),
            "listen": address_text(listener.sockets[0].getsockname()),
            "admin": address_text(admin.addresses[0]),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        if config.exit_with_stdin:
            _exit_with_stdin(loop)
        await stop.wait()
        await _drain(hop, server, listener, config.drain)
    finally:
        listener.close()
        await server.shutdown(0.1)
        hop.close()
        await admin.cleanup()


def connection_factory(hop: Hop, server: GatewayServer) -> Callable[[], asyncio.BaseProtocol]:
    """What makes the protocol of each connection that is accepted: HTTP's, or TLS's with HTTP's on top."""
    settings = hop.config.tls
    if not settings.enabled:
        return server
    return TlsFront(hop.loop, client_context(settings, hop.config.listen.host), server, hop)


@contextlib.contextmanager
def _naming_the_holder(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotListen(portowner.explain(host, port, error)) from error


def _exit_with_stdin(loop: asyncio.AbstractEventLoop) -> None:
    """End at once when standard input does: whoever started this process holds its other end."""

    def readable() -> None:
        if not _some_of_stdin():
            os._exit(EXIT_OK)

    try:
        loop.add_reader(0, readable)
    except OSError:  # a file, /dev/null, or none at all: it has no other end, and nothing to wait for
        while _some_of_stdin():
            pass
        os._exit(EXIT_OK)


def _some_of_stdin() -> bytes:
    try:
        return os.read(0, 65536)
    except OSError:
        return b""


async def _drain(hop: Hop, server: GatewayServer, listener: asyncio.Server, seconds: float) -> None:
    """Accept nothing new, let what is under way end within `seconds`, close idle connections."""
    listener.close()
    hop.draining = True
    server.pre_shutdown()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await hop.until_idle()
