"""TLS towards clients: what is between the listening socket and a `ClientConnection`.

A client that speaks plain HTTP is told so in plain HTTP, as nginx does (its 497). A handshake that fails is logged:
no request came, so there is no exchange to record.
"""

import asyncio
import logging
import ssl

from badgateway_proxy.transport.client_faults import client_error
from badgateway_proxy.transport.gateway_server import Gateway, GatewayServer
from badgateway_proxy.transport.sockets import address_text
from badgateway_proxy.transport.tls_diagnosis import alert_of, speaks_tls, words_of
from badgateway_proxy.transport.tls_stream import TlsStream

logger = logging.getLogger(__name__)

_PLAIN = "plain HTTP on a TLS port: write https://"


class TlsFront:
    """Makes the protocol of each connection that is accepted.

    Args:
        loop: the running event loop.
        context: versions and certificate.
        server: makes the HTTP connections on top.
        limits: how long a handshake may take (as long as a request's head), how many connections there may be.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext, server: GatewayServer, limits: Gateway
    ) -> None:
        self.loop = loop
        self.context = context
        self.server = server
        self.limits = limits
        #: How many handshakes are under way.
        self.shaking = 0

    def __call__(self) -> asyncio.Protocol:
        return _FrontStream(self)


class _FrontStream(TlsStream):
    def __init__(self, front: TlsFront) -> None:
        super().__init__(front.loop, front.context, front.server())
        self._front = front
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        front = self._front
        front.shaking += 1
        self.handshake.add_done_callback(self._shaken)
        super().connection_made(transport)
        if front.shaking + front.server.serving > front.limits.max_connections:
            self._fail(ConnectionRefusedError("too many client connections"))
            return
        within = front.limits.client_head_timeout
        self._timer = self._loop.call_later(within, self._fail, TimeoutError(f"it was not over within {within:g} s"))

    def data_received(self, data: bytes) -> None:
        if not self.handshake.done() and not self.first_bytes and not speaks_tls(data):
            self._answer_in_plain(data)
        else:
            super().data_received(data)

    def _answer_in_plain(self, data: bytes) -> None:
        transport = self._raw
        self._give_up()
        plain = self._front.server.refusing(client_error(400, _PLAIN), data)
        transport.set_protocol(plain)
        plain.connection_made(transport)

    def _shaken(self, handshake: asyncio.Future[None]) -> None:
        self._front.shaking -= 1
        if self._timer is not None:
            self._timer.cancel()
        error = None if handshake.cancelled() else handshake.exception()
        if error is not None:
            client = address_text(self.get_extra_info("peername"))
            logger.info("a client's TLS handshake failed: %s", _why(error), extra={"client": client})


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        alert = alert_of(error)
        return f"the client ended it with the alert {alert}" if alert else words_of(error)
    return str(error) or "the client closed the connection"
