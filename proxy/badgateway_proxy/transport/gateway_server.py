"""aiohttp's low-level server, making our kind of connection."""

from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

from aiohttp import StreamReader, web
from aiohttp.helpers import DEFAULT_CHUNK_SIZE
from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.client_connection import ClientConnection
from badgateway_proxy.transport.driving import Exchanging
from badgateway_proxy.transport.repeated import Repeated
from badgateway_proxy.transport.request import Request


class Gateway(Protocol):
    """What serves the requests of these connections."""

    client_head_timeout: float
    client_send_timeout: float
    client_options: Mapping[str, Any]
    max_connections: int
    allow_custom_methods: bool
    repeated: Repeated[Request]

    def serve(self, client: ClientConnection, request: Request, body: StreamReader) -> Exchanging:
        """Answer one request. The result says whether the client's connection may carry another."""

    def refuse(self, client: ClientConnection, error: HopError) -> None:
        """Answer what never became a request; the connection is closed behind it."""


class GatewayServer(web.Server):
    """aiohttp's low-level server, making our kind of connection."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(_never_called, handler_cancellation=True)
        self._gateway = gateway
        #: How many connections there are, without those that were refused.
        self.serving = 0

    def __call__(self) -> ClientConnection:
        return ClientConnection(
            self, self._gateway, loop=self._loop, access_log=None, auto_decompress=False, **self._gateway.client_options
        )

    def refusing(self, error: HopError, asked: bytes) -> ClientConnection:
        """A connection that answers `error`, whatever comes; `asked` is how the client's request begins."""
        connection = self()
        connection.refuse_with(error, asked)
        return connection

    def new_parser(self, connection: ClientConnection) -> HttpRequestParser:
        """A parser as aiohttp makes one for a connection."""
        return HttpRequestParser(
            connection,
            self._loop,
            DEFAULT_CHUNK_SIZE,
            max_line_size=connection.max_line_size,
            max_field_size=connection.max_field_size,
            max_headers=connection.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )


async def _never_called(request: web.BaseRequest) -> NoReturn:
    raise AssertionError("ClientConnection serves requests itself")
